"""Budgets: whatever several deciders know and in whatever order they write, no more is held than a limit lets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_backbone.records.limits import FLEET, resource_scope, workflow_scope
from penstock_backbone.records.shards import Ledger
from penstock_orchestrator.domain.budgets import SCOPES_MAX, allowance, apportion, moved, reshaped
from penstock_orchestrator.domain.limits import Limits

W = workflow_scope("w")


def ledger(shards: int, known: int | None = None, **fleet: int) -> Ledger:
    """`fleet`: s0=…, s1=…"""
    budgets = {FLEET: {int(name[1:]): most for name, most in fleet.items()}} if fleet else {}
    return Ledger(1, "", 1, shards, known or shards, budgets)


@pytest.mark.parametrize(
    ("of", "limit", "expected"),
    [
        pytest.param(Ledger(), 5, (5,), id="one shard has the limit to itself"),
        pytest.param(ledger(2), 5, (0, 0), id="without budgets the others may hold anything"),
        pytest.param(ledger(2, s0=2, s1=3), 5, (2, 3), id="each has its budget"),
        pytest.param(
            ledger(2, s0=2, s1=3), 4, (1, 2), id="a limit that was lowered leaves what the others cannot take"
        ),
        pytest.param(ledger(2, s0=2, s1=3), 0, (0, 0), id="a closed scope lets nobody in"),
        pytest.param(ledger(2, s0=2, s1=3), 9, (2, 3), id="a limit that was raised gives nothing by itself"),
        pytest.param(ledger(2, s0=5), 5, (5, 0), id="a shard without a budget may hold nothing"),
        pytest.param(ledger(1, known=2, s0=2, s1=3), 5, (2, 3), id="a shard that was given up counts"),
    ],
)
def test_what_a_shard_may_hold(of: Ledger, limit: int, expected: tuple[int, ...]) -> None:
    found = tuple(allowance(of, Limits({FLEET: limit}), shard, FLEET) for shard in range(of.known))
    assert found == expected


def test_a_scope_without_limit_and_budgets_bounds_nobody_and_its_budgets_hold_until_they_are_taken_away() -> None:
    assert allowance(ledger(2), Limits(), 0, W) is None
    bounded = replace(ledger(2), budgets={W: {0: 1, 1: 2}})
    assert allowance(bounded, Limits(), 1, W) == 2
    move = apportion(bounded, Limits(), [{}, {}], [{}, {W: 3}], [W], commit_id="c")
    assert W not in move.ledger.budgets
    assert (move.lowered, move.raised) == ((), (W,))


def test_who_waits_is_given_what_others_do_not_need_and_the_rest_is_spread() -> None:
    before = ledger(3, s0=4, s1=3, s2=3)
    move = apportion(
        before, Limits({FLEET: 10}), [{FLEET: 1}, {FLEET: 3}, {}], [{FLEET: 1}, {FLEET: 6}, {}], [FLEET], commit_id="c"
    )
    assert move.ledger.budgets[FLEET] == {0: 2, 1: 7, 2: 1}
    assert (move.lowered, move.raised) == ((0, 2), ())
    assert (move.ledger.version, move.ledger.commit_id) == (2, "c")


def test_a_shard_that_was_given_up_keeps_what_it_holds_and_gets_nothing_more() -> None:
    before = ledger(1, known=2, s0=1, s1=4)
    move = apportion(
        before, Limits({FLEET: 5}), [{FLEET: 1}, {FLEET: 2}], [{FLEET: 2}, {FLEET: 2}], [FLEET], commit_id="c"
    )
    assert move.ledger.budgets[FLEET] == {0: 3, 1: 2}


def test_one_move_changes_so_many_scopes_at_most() -> None:
    scopes = [resource_scope(f"model:{number}") for number in range(SCOPES_MAX + 5)]
    in_force = Limits(dict.fromkeys(scopes, 2))
    move = apportion(ledger(2), in_force, [{}, {}], [dict.fromkeys(scopes, 1), {}], scopes, commit_id="c")
    assert list(move.ledger.budgets) == scopes[:SCOPES_MAX]


def test_budgets_go_with_the_tokens_that_move() -> None:
    before = replace(ledger(2), budgets={FLEET: {0: 3, 1: 1}, W: {0: 2}})
    after = moved(before, 0, 1, {FLEET: 2, W: 2, resource_scope("model:x"): 1}, "c")
    assert after.budgets == {FLEET: {0: 1, 1: 3}, W: {0: 0, 1: 2}}


def test_a_new_map_keeps_the_budgets_and_remembers_every_shard() -> None:
    fewer = reshaped(ledger(3, s0=1, s1=1, s2=3), 1, "c")
    assert (fewer.map, fewer.shards, fewer.known, fewer.budgets) == (2, 1, 3, {FLEET: {0: 1, 1: 1, 2: 3}})
    assert reshaped(fewer, 2, "d").known == 3
    assert reshaped(fewer, 4, "d").known == 4


# --- any history --------------------------------------------------------------------------------------

SHARDS = 3


@dataclass
class Decider:
    """What it read: the limit and when, then the ledger, then each head with what the shard held."""

    limit: int = 0
    read_at: int = 0
    ledger: Ledger = field(default_factory=lambda: ledger(SHARDS))
    seqs: list[int] = field(default_factory=lambda: [0] * SHARDS)
    held: list[int] = field(default_factory=lambda: [0] * SHARDS)


@dataclass
class Tables:
    """The conditions of the real writes, over one scope."""

    limits: list[int] = field(default_factory=lambda: [4])
    ledger: Ledger = field(default_factory=lambda: ledger(SHARDS))
    seqs: list[int] = field(default_factory=lambda: [0] * SHARDS)
    held: list[int] = field(default_factory=lambda: [0] * SHARDS)

    def read(self, who: Decider) -> None:
        who.limit, who.read_at = self.limits[-1], len(self.limits) - 1
        who.ledger, who.seqs, who.held = self.ledger, list(self.seqs), list(self.held)

    def decide(self, who: Decider, shard: int, change: int) -> None:
        allowed = allowance(who.ledger, Limits({FLEET: who.limit}), shard, FLEET)
        assert allowed is not None
        if who.seqs[shard] != self.seqs[shard] or not 0 <= who.held[shard] + change <= max(allowed, who.held[shard]):
            return
        self.seqs[shard] += 1
        self.held[shard] += change
        who.seqs[shard], who.held[shard] = self.seqs[shard], self.held[shard]
        assert change < 0 or sum(self.held) <= max(self.limits[who.read_at :])

    def apportion(self, who: Decider, shard: int) -> None:
        wanted = [count + (number == shard) for number, count in enumerate(who.held)]
        if sum(wanted) > who.limit:
            return
        here, wish = ([{FLEET: count} for count in counts] for counts in (who.held, wanted))
        move = apportion(who.ledger, Limits({FLEET: who.limit}), here, wish, [FLEET], commit_id="c")
        fenced = all(who.seqs[number] == self.seqs[number] for number in move.lowered)
        stands = not move.raised or who.limit == self.limits[-1]
        if who.ledger.version != self.ledger.version or not fenced or not stands:
            return
        self.ledger = who.ledger = move.ledger
        for number in move.lowered:
            self.seqs[number] += 1
            who.seqs[number] += 1
        assert all(self.held[number] <= most for number, most in self.ledger.budgets[FLEET].items())


STEPS = st.one_of(
    st.tuples(st.just("limit"), st.integers(0, 6), st.just(0)),
    st.tuples(st.just("read"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("grant"), st.integers(0, 1), st.integers(0, SHARDS - 1)),
    st.tuples(st.just("release"), st.integers(0, 1), st.integers(0, SHARDS - 1)),
    st.tuples(st.just("apportion"), st.integers(0, 1), st.integers(0, SHARDS - 1)),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_no_history_of_two_deciders_holds_more_than_a_limit_that_was_in_force_since_they_read_it(
    steps: list[tuple[str, int, int]],
) -> None:
    tables = Tables()
    deciders = [Decider(), Decider()]
    for who in deciders:
        tables.read(who)
    for kind, number, shard in steps:
        match kind:
            case "limit":
                tables.limits.append(number)
            case "read":
                tables.read(deciders[number])
            case "grant":
                tables.decide(deciders[number], shard, 1)
            case "release":
                tables.decide(deciders[number], shard, -1)
            case _:
                tables.apportion(deciders[number], shard)
