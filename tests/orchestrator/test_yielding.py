"""Who is asked to yield: only for who starves by the fleet's limit alone, and never somebody's last slot."""

from __future__ import annotations

import random  # noqa: TID251  # the tests throw their own dice, always from a seed
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.orchestrator.test_gate import gate_of, limits, token

from penstock_backbone.records.runs import RunItem, as_run, fact
from penstock_backbone.records.tokens import REQUEUE, Operation
from penstock_backbone.records.yields import YIELDS_MAX, Ask, Asks
from penstock_orchestrator.domain.decision import decide
from penstock_orchestrator.domain.gate import Gate
from penstock_orchestrator.domain.limits import Limits
from penstock_orchestrator.domain.token import Token
from penstock_orchestrator.domain.yielding import candidates, choose, hungry

NOBODY = Asks()
ROUNDS_MAX = 20
"""Of asking and yielding, until nobody is asked any more: there are nine slots at most."""


def held(run: str, tenant: str = "loud", **other: Any) -> Token:
    return token(run, tenant=tenant, fence=1, **other)


def running(of: Token, *, since: int = 0, **other: Any) -> RunItem:
    facts = {"3": fact("RunAdmitted", since, fence=of.fence, waited_ms=0)}
    return as_run({"pk": of.run, "state": "running", "fence": of.fence, "facts": facts, "seq": 3, "at": 0, **other})


def asked(gate: Gate, now: Limits, asks: Asks = NOBODY, runs: list[RunItem] | None = None) -> list[str]:
    """The ids of the runs that are asked; `runs` None: all that hold execute."""
    known = [running(each) for each in gate.held.values()] if runs is None else runs
    return [of.run for of, _ in choose([gate], now, asks, {run["pk"]: run for run in known}).chosen]


def full(*waiting: Token, now: Limits) -> Gate:
    """Two runs of `loud` hold all there is."""
    return gate_of(waiting=list(waiting), held=[held("l1"), held("l2")], limits=now)


def test_a_tenant_without_a_slot_gets_one_run_of_the_tenant_that_has_two_asked() -> None:
    now = limits(2)
    gate = full(token("q1", tenant="quiet"), token("q2", tenant="quiet"), now=now)
    assert hungry([gate], now) == ["quiet"]
    assert asked(gate, now) == ["l1"]


@pytest.mark.parametrize("fleet", [0, 1, 3])
def test_nobody_is_asked_while_slots_are_free_or_the_fleet_drains_or_is_paused(fleet: int) -> None:
    now = limits(fleet)
    assert asked(full(token("q", tenant="quiet"), now=now), now) == []


@pytest.mark.parametrize(
    "blocked",
    [
        limits(2, tenants={"quiet": 0}),
        limits(2, workflows={"w": 2}),
        limits(2, resources={"model:x": 0}),
    ],
    ids=["tenant", "workflow", "resource"],
)
def test_nobody_is_asked_for_a_run_that_another_limit_keeps_out(blocked: Limits) -> None:
    gate = full(token("q", tenant="quiet", resources=("model:x",)), now=blocked)
    assert asked(gate, blocked) == []


def test_a_tenant_that_holds_one_slot_is_asked_for_nothing_and_asks_for_nothing() -> None:
    now = limits(3)
    gate = gate_of(
        waiting=[token("q2", tenant="quiet")], held=[held("q1", "quiet"), held("l1"), held("l2")], limits=now
    )
    assert asked(gate, now) == []
    alone = limits(1)
    assert asked(gate_of(waiting=[token("q", tenant="quiet")], held=[held("l1")], limits=alone), alone) == []


def test_a_least_share_is_owed_like_a_first_slot_and_is_not_yielded() -> None:
    holders = [held("l1"), held("l2"), held("q1", "quiet")]
    for owed, expected in ({"quiet": 2}, ["l1"]), ({"quiet": 2, "loud": 2}, []):
        now = limits(3, min_shares=owed)
        assert asked(gate_of(waiting=[token("q2", tenant="quiet")], held=holders, limits=now), now) == expected


def test_who_holds_the_most_for_its_weight_yields() -> None:
    now = limits(5, weights={"heavy": 3})
    holders = [held("h1", "heavy"), held("h2", "heavy"), held("h3", "heavy"), held("l1"), held("l2")]
    assert asked(gate_of(waiting=[token("q", tenant="quiet")], held=holders, limits=now), now) == ["l1"]


def test_an_ask_that_stands_is_enough_until_its_token_is_given_back() -> None:
    now = limits(3)
    gate = gate_of(waiting=[token("q", tenant="quiet")], held=[held("l1"), held("l2"), held("l3")], limits=now)
    asks = Asks(1, "x", (Ask(held("l1").key, 1),))
    assert asked(gate, now, asks) == []
    assert asked(gate, now, Asks(1, "x", (Ask(held("l1").key, 7),))) == ["l1"], "of another grant"
    assert held("l1") not in candidates([gate], now, asks, 100)
    gate.wait(token("p", tenant="poor", at=1))
    runs = [running(held("l1"), yielding=True), running(held("l2")), running(held("l3"))]
    assert asked(gate, now, asks, runs) == ["l2"], "a second tenant is worth a second ask"
    gate.wait(token("o", tenant="other", at=2))
    assert asked(gate, now, asks, runs) == ["l2"], "and one slot stays"


def test_of_the_tenants_runs_it_is_the_one_that_yielded_least_often_and_then_the_longest_running() -> None:
    now = limits(3)
    ones = [held("l1"), held("l2"), held("l3")]
    gate = gate_of(waiting=[token("q", tenant="quiet")], held=ones, limits=now)
    runs = [running(ones[0], since=1, yields=1), running(ones[1], since=9), running(ones[2], since=5)]
    assert asked(gate, now, runs=runs) == ["l3"]


@pytest.mark.parametrize(
    "other",
    [
        {"pause": "x"},
        {"cancel": "x"},
        {"yielding": True},
        {"given_up": [8, "x"]},
        {"state": "queued"},
        {"fence": 0},
        {"yields": YIELDS_MAX},
    ],
    ids=str,
)
def test_a_run_that_does_not_execute_or_has_done_enough_is_left_alone(other: dict[str, Any]) -> None:
    now = limits(2)
    gate = full(token("q", tenant="quiet"), now=now)
    runs = [running(held("l1"), **other), running(held("l2"), since=99)]
    assert asked(gate, now, runs=runs) == ["l2"]


def test_no_more_is_looked_at_than_fits_one_read() -> None:
    now = limits(50)
    gate = gate_of(waiting=[token("q", tenant="quiet")], held=[held(f"l{number}") for number in range(50)], limits=now)
    assert len(candidates([gate], now, NOBODY, 7)) == 7


# --- properties -----------------------------------------------------------------------------------


def crowd(chance: random.Random, now: Limits, shards: int) -> list[Gate]:
    """A full fleet and a line, each tenant in one of the shards."""
    gates = [Gate(now) for _ in range(shards)]
    for number in range(now.fleet + chance.randrange(12)):
        tenant = chance.choice("aaaabcdef")
        each = token(f"{number:03d}", tenant=tenant, workflow=chance.choice("xy"), at=number, fence=1)
        gate = gates[ord(tenant) % shards]
        if number < now.fleet:
            gate.hold(each)
        else:
            gate.wait(each)
    return gates


def some_limits(chance: random.Random) -> Limits:
    return limits(
        chance.randint(1, 9),
        tenants={name: chance.randint(0, 3) for name in "abcdef" if chance.random() < 0.2},
        workflows={"x": chance.randint(0, 5)} if chance.random() < 0.3 else {},
        weights={name: chance.randint(1, 5) for name in "abcdef" if chance.random() < 0.5},
        min_shares={name: chance.randint(1, 3) for name in "abcdef" if chance.random() < 0.2},
    )


def picture(gates: list[Gate]) -> list[Any]:
    """But for who is passed over: a look tells each gate what the others hold."""
    boards = [{name: gate.board(name, 99)._replace(passed_over=0) for name in "abcdef"} for gate in gates]
    return [(dict(gate.held), dict(gate.waiting), board) for gate, board in zip(gates, boards, strict=True)]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 3))
def test_there_are_never_more_asks_than_tenants_that_are_owed_and_everybody_keeps_a_slot(
    seed: int, shards: int
) -> None:
    chance = random.Random(seed)
    now = some_limits(chance)
    gates = crowd(chance, now, shards)
    everything = {of.run: of for gate in gates for of in gate.held.values()}
    earlier = Asks(1, "x", tuple(Ask(of.key, 1) for of in everything.values() if chance.random() < 0.1))
    before = picture(gates)
    runs = {run: running(of, since=chance.randrange(9)) for run, of in everything.items()}
    wishes = choose(gates, now, earlier, runs)
    assert picture(gates) == before, "a look changes nothing"
    holds = Counter(of.tenant for of in everything.values())
    for tenant in hungry(gates, now):
        assert holds[tenant] < max(1, now.min_share(tenant))
        assert any(of.tenant == tenant for gate in gates for of in gate.waiting.values())
    assert not wishes.chosen or len(wishes.asks()) <= len(hungry(gates, now))
    assert len(set(wishes.asks())) == len(wishes.asks())
    left = holds - Counter(everything[ask.token.rpartition("#")[2]].tenant for ask in wishes.asks())
    for of, _ in wishes.chosen:
        assert left[of.tenant] >= max(1, now.min_share(of.tenant))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_when_asks_are_kept_nobody_starves_while_somebody_has_two_and_asking_comes_to_rest(seed: int) -> None:
    """Runs never end here: all that ever moves are slots that are yielded."""
    chance = random.Random(seed)
    now = limits(chance.randint(1, 9))
    (gate,) = crowd(chance, now, 1)
    asks = NOBODY
    rounds = 0
    while rounds < ROUNDS_MAX:
        rounds += 1
        runs = {of.run: running(of, since=of.at) for of in gate.held.values()}
        asks = Asks(1, "x", choose([gate], now, asks, runs).asks())
        if not asks.standing:
            break
        kept = [ask for ask in asks.standing if chance.random() < 0.7] or list(asks.standing[:1])
        for _ in range(2):
            endings = [Operation(REQUEUE, ask.token, ask.fence) for ask in kept if gate.holds(*ask)]
            for operation in decide(gate, now, endings).operations:
                gate.apply(operation)
    assert rounds < ROUNDS_MAX
    holds = Counter(of.tenant for of in gate.held.values())
    starving = {of.tenant for of in gate.waiting.values()} - holds.keys()
    assert not starving or max(holds.values()) == 1
    assert len(gate.held) == now.fleet
