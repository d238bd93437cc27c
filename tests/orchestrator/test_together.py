"""One decision for several shards: the same runs are let in as if all stood in one line."""

from __future__ import annotations

import random  # noqa: TID251  # the tests throw their own dice, always from a seed
from collections import Counter

import pytest
from tests.orchestrator.test_gate import gate_of, limits, token

from penstock_backbone.records.limits import FLEET
from penstock_backbone.records.shards import Ledger, home_of
from penstock_backbone.records.tokens import GRANT, PEND_MAX, RELEASE, REQUEUE, Operation
from penstock_orchestrator.domain.decision import decide
from penstock_orchestrator.domain.gate import Gate
from penstock_orchestrator.domain.limits import Limits
from penstock_orchestrator.domain.together import Together, decide_together
from penstock_orchestrator.domain.token import Token

SHARDS = 3
AMPLE = Ledger()
"""Bounds no shard: who is let in is a matter of the limits alone."""


def spread(waiting: list[Token], held: list[Token], in_force: Limits) -> list[Gate]:
    def of(shard: int, tokens: list[Token]) -> list[Token]:
        return [each for each in tokens if home_of(each.tenant, SHARDS) == shard]

    return [gate_of(waiting=of(shard, waiting), held=of(shard, held), limits=in_force) for shard in range(SHARDS)]


def granted(both: Together) -> set[str]:
    return {each.token for decision in both.decisions for each in decision.operations if each.op == GRANT}


def crowd(seed: int) -> tuple[list[Token], list[Token], Limits]:
    """Tokens that wait and that are held, of one priority, and limits that some of them meet."""
    chance = random.Random(seed)
    tokens = [
        token(
            f"r{number:02d}",
            tenant=f"t{chance.randrange(6)}",
            workflow=chance.choice("wxy"),
            at=chance.randrange(1000),
            fence=1,
            resources=tuple(["model:large"] * chance.randrange(2)),
        )
        for number in range(chance.randrange(5, 60))
    ]
    some = chance.randrange(len(tokens))
    in_force = limits(
        chance.randrange(0, 40),
        tenants={"t1": chance.randrange(5)},
        workflows={"w": chance.randrange(10)},
        resources={"model:large": chance.randrange(10)},
        weights={"t2": 3},
        min_shares={"t3": 2},
    )
    return tokens[some:], tokens[:some], in_force


@pytest.mark.parametrize("seed", range(60))
def test_the_same_runs_are_let_in_as_by_one_shard(seed: int) -> None:
    waiting, held, in_force = crowd(seed)
    endings = [Operation(RELEASE, each.key, each.fence) for each in held[::2]]
    alone = decide(gate_of(waiting=waiting, held=held, limits=in_force), in_force, endings)
    gates = spread(waiting, held, in_force)
    both = decide_together(gates, in_force, AMPLE, endings)
    assert granted(both) == {each.token for each in alone.operations if each.op == GRANT}
    ended = {each.token for decision in both.decisions for each in decision.operations if each.op == RELEASE}
    assert ended == {each.token for each in alone.operations if each.op == RELEASE}
    assert both.short == ()


@pytest.mark.parametrize("seed", range(60))
def test_runs_that_resume_are_let_in_again_as_if_they_had_always_waited(seed: int) -> None:
    """By one shard and by several, in two decisions."""
    waiting, held, in_force = crowd(seed)
    back = held[::2]
    requeues = [Operation(REQUEUE, each.key, each.fence) for each in back]
    resuming = {each.key for each in back}
    plain = decide(gate_of(waiting=[*waiting, *back], held=held[1::2], limits=in_force), in_force, [])
    gate = gate_of(waiting=waiting, held=held, limits=in_force)
    first = decide(gate, in_force, requeues, resuming)
    for operation in first.operations:
        gate.apply(operation)
    second = decide(gate, in_force, requeues, resuming)
    assert [each for each in (*first.operations, *second.operations) if each.op == GRANT] == list(plain.operations)

    gates = spread(waiting, held, in_force)
    both = decide_together(gates, in_force, AMPLE, requeues, resuming)
    assert granted(both) == {each.token for each in first.operations if each.op == GRANT}
    for gate, decision in zip(gates, both.decisions, strict=True):
        for operation in decision.operations:
            gate.apply(operation)
    again = decide_together(gates, in_force, AMPLE, requeues, resuming)
    assert granted(again) == {each.token for each in second.operations if each.op == GRANT}


@pytest.mark.parametrize("seed", range(20))
def test_the_gates_are_as_before(seed: int) -> None:
    waiting, held, in_force = crowd(seed)
    gates = spread(waiting, held, in_force)
    endings = [Operation(RELEASE, each.key, each.fence) for each in held[::2]]
    first = decide_together(gates, in_force, AMPLE, endings)
    assert {key for gate in gates for key in gate.held} == {each.key for each in held}
    assert decide_together(gates, in_force, AMPLE, endings) == first


def test_who_has_no_budget_is_not_let_in_and_nobody_behind_him() -> None:
    near, far = (next(f"t{n}" for n in range(99) if home_of(f"t{n}", 2) == shard) for shard in (0, 1))
    waiting = [token("1", tenant=near, at=1), token("2", tenant=far, at=2), token("3", tenant=near, at=3)]
    gates = [gate_of(waiting=[each for each in waiting if each.tenant == who], limits=limits(9)) for who in (near, far)]
    ledger = Ledger(1, "", 1, 2, 2, {FLEET: {0: 9, 1: 0}})
    both = decide_together(gates, limits(9), ledger, [])
    assert granted(both) == {waiting[0].key}
    assert both.short == (FLEET,)
    assert [wish[FLEET] for wish in both.wanted] == [2, 1]


def test_a_decision_that_is_full_ends_those_of_the_others_too() -> None:
    near, far = (next(f"t{n}" for n in range(99) if home_of(f"t{n}", 2) == shard) for shard in (0, 1))
    waiting = [token(f"{n:03d}", tenant=near, at=n) for n in range(PEND_MAX + 5)]
    waiting += [token(f"9{n:03d}", tenant=far, at=n) for n in range(PEND_MAX + 5)]
    gates = [
        gate_of(waiting=[each for each in waiting if each.tenant == who], limits=limits(999)) for who in (near, far)
    ]
    both = decide_together(gates, limits(999), AMPLE, [])
    counts = Counter(len(decision.operations) for decision in both.decisions)
    assert counts[PEND_MAX] >= 1
    assert sum(len(decision.operations) for decision in both.decisions) >= 2 * PEND_MAX - 1
