"""Fair shares by weight, order inside a tenant, and how long anybody can be made to wait."""

from __future__ import annotations

import random  # noqa: TID251  # the tests throw their own dice, always from a seed
from collections import Counter
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.bench.bars import missed
from tests.bench.flood import flooding
from tests.orchestrator.test_gate import limits, token

from penstock_backbone.records.tokens import GRANT, PEND_MAX, RELEASE, Operation
from penstock_orchestrator.domain.decision import decide
from penstock_orchestrator.domain.gate import Gate
from penstock_orchestrator.domain.limits import Limits
from penstock_orchestrator.domain.occupancy import Occupancy
from penstock_orchestrator.domain.picker import AGE_SECONDS
from penstock_orchestrator.domain.token import Token

AGE_MS = AGE_SECONDS * 1000


def turn(gate: Gate, now: Limits, chance: random.Random, freed: float) -> list[Token]:
    """Some runs end, and others are let in: those."""
    endings = [Operation(RELEASE, key, each.fence) for key, each in gate.held.items() if chance.random() < freed]
    granted = []
    for operation in decide(gate, now, endings).operations:
        gate.apply(operation)
        if operation.op == GRANT:
            granted.append(gate.held[operation.token])
    return granted


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 1000), min_size=2),
    st.integers(1, PEND_MAX // 2),
    st.floats(0.01, 0.9),
    st.integers(0, 2**32),
)
def test_backlogged_tenants_hold_shares_by_weight_at_every_moment(
    weights: dict[str, int], fleet: int, freed: float, seed: int
) -> None:
    """Within 1/w_i + 1/w_j of each other after each decision, however the ended runs are spread. And each single grant goes to
    a tenant that held the least for its weight, so that it holds at most 1/w more than any other."""
    chance = random.Random(seed)
    now = limits(fleet, weights=weights)
    gate = Gate(now)
    number = 0
    for _ in range(25):
        waiting = Counter(each.tenant for each in gate.waiting.values())
        for tenant in weights:
            for _ in range(fleet + 1 - waiting[tenant]):
                gate.wait(token(f"{number:06d}", tenant=tenant, at=chance.randrange(10**6)))
                number += 1
        granted = [each.tenant for each in turn(gate, now, chance, freed)]
        held = Counter(each.tenant for each in gate.held.values())
        before = held - Counter(granted)
        for tenant in granted:
            assert Fraction(before[tenant], weights[tenant]) == min(
                Fraction(before[one], weights[one]) for one in weights
            )
            before[tenant] += 1
        assert len(gate.held) == fleet, "no slot is left empty while somebody waits"
        for one, other in combinations(weights, 2):
            apart = abs(Fraction(held[one], weights[one]) - Fraction(held[other], weights[other]))
            assert apart <= Fraction(1, weights[one]) + Fraction(1, weights[other]), held


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_nobody_is_overtaken_inside_a_priority_nor_by_whoever_came_too_late_to_be_more_urgent(seed: int) -> None:
    chance = random.Random(seed)
    now = limits(3)
    gate = Gate(now)
    now_ms, number = 0, 0
    while number < 300 or gate.waiting or gate.held:
        now_ms += chance.randrange(AGE_MS // 3)
        if number < 300:
            for _ in range(chance.randrange(8)):
                priority = chance.choice([1, 1, 1, 2, 3, 4, 5])
                gate.wait(token(f"{number:05d}", priority=priority, at=now_ms))
                number += 1
        for granted in turn(gate, now, chance, 0.5):
            for left in gate.waiting.values():
                later = granted.at - left.at
                assert later <= max(0, left.priority - granted.priority) * AGE_MS, (granted, left)


def test_the_least_urgent_run_starts_although_urgent_ones_never_stop_coming() -> None:
    """One slot, each run holds it for a minute, and a run of priority 1 arrives each minute, for ever."""
    now = limits(1)
    gate = Gate(now)
    chance = random.Random(1)
    for number in range(3):
        gate.wait(token(f"urgent before {number}", priority=1))
    gate.wait(token("patient", priority=5, at=1))
    for minute in range(1, 1000):
        gate.wait(token(f"urgent {minute:04d}", priority=1, at=minute * 60_000))
        if any(each.run == "patient" for each in turn(gate, now, chance, 1.0)):
            break
    backlog = 3
    assert minute * 60 <= 4 * AGE_SECONDS + (backlog + 1) * 60, "the age of four priorities and the line before it"


def flood(**favour: int) -> list[str]:
    """The bars that are missed, of a shorter play than that of the benchmark."""
    return missed(flooding(seeds=(1,), hours=24, weights=favour))


def test_a_flood_of_one_tenant_makes_the_others_wait_no_longer_than_a_few_of_its_runs_do_and_than_their_parts_allow() -> (
    None
):
    assert flood() == []


@pytest.mark.parametrize("weight", [2, 10])
def test_it_shows_when_the_flooding_tenant_gets_more_than_its_part(weight: int) -> None:
    """In few runs as well as in 100,000, so that the change alone need not tell."""
    assert "flood_grants_over_equal" in flood(loud=weight)
    assert weight < 10 or "flood_wait_over_own_part" in flood(loud=weight)


def test_it_shows_when_the_depth_of_a_line_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever came first goes first, whosever run it is: 100,000 are before everybody."""
    monkeypatch.setattr(Occupancy, "share", lambda *_: 0)
    assert {"flood_median_wait_change_pct", "flood_wait_over_own_part", "flood_grants_over_equal"} <= set(flood())
