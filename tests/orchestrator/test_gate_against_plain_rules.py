"""The gate against a naive reading of the rules, through any history."""

from __future__ import annotations

import random  # noqa: TID251  # the tests throw their own dice, always from a seed
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.orchestrator.test_gate import gate_of, limits, token

from penstock_backbone.records.tokens import GRANT, PEND_MAX, RELEASE, REQUEUE, Operation
from penstock_orchestrator.domain.decision import decide
from penstock_orchestrator.domain.gate import Gate
from penstock_orchestrator.domain.limits import Limits
from penstock_orchestrator.domain.picker import AGE_SECONDS
from penstock_orchestrator.domain.token import Token


@dataclass
class Naive:
    """The rules of domain/picker.py written down as plainly as can be; its costs do not matter."""

    waiting: dict[str, Token] = field(default_factory=dict)
    held: dict[str, Token] = field(default_factory=dict)

    def decide(self, in_force: Limits, endings: list[Operation]) -> tuple[Operation, ...]:
        waiting, held, operations = dict(self.waiting), dict(self.held), []
        for ending in endings[:PEND_MAX]:
            if ending.token in held and held[ending.token].fence == ending.fence:
                del held[ending.token]
                operations.append(ending)
        while len(operations) < PEND_MAX and (next_one := self._next(in_force, waiting, held)) is not None:
            del waiting[next_one.key]
            held[next_one.key] = next_one
            operations.append(Operation(GRANT, next_one.key, next_one.fence + 1))
        return tuple(operations)

    @staticmethod
    def _next(in_force: Limits, waiting: dict[str, Token], held: dict[str, Token]) -> Token | None:
        of_tenant = Counter(each.tenant for each in held.values())
        of_scope = Counter(scope for each in held.values() for scope in _shared(each.workflow, each.resources))
        full = {scope for scope, limit in in_force.scopes.items() if limit is not None and of_scope[scope] >= limit}
        tenants = {each.tenant: in_force.of_tenant(each.tenant) for each in waiting.values()}
        at_limit = {tenant for tenant, limit in tenants.items() if limit is not None and of_tenant[tenant] >= limit}
        able = [
            each
            for each in waiting.values()
            if each.tenant not in at_limit
            and (in_force.served is None or each.needs in in_force.served)
            and full.isdisjoint(_shared(each.workflow, each.resources))
        ]
        if not able or len(held) >= in_force.fleet:
            return None

        def share(tenant: str) -> tuple[bool, Fraction]:
            held_by = of_tenant[tenant]
            return held_by >= in_force.min_share(tenant), Fraction(held_by, in_force.weight(tenant))

        def urgency(each: Token) -> tuple[int, int, str]:
            return each.at + 1000 * AGE_SECONDS * each.priority, each.at, each.run

        tenant = min(able, key=lambda each: (share(each.tenant), each.at, each.run)).tenant
        return min((each for each in able if each.tenant == tenant), key=urgency)


@cache
def _shared(workflow: str, resources: tuple[str, ...]) -> list[str]:
    """The scopes of a run beside its tenant's."""
    return [f"workflow#{workflow}", *(f"resource#{name}" for name in resources)]


LIMIT = st.integers(0, 4)
IN_FORCE = st.builds(
    limits,
    st.integers(0, 12),
    tenants=st.dictionaries(st.sampled_from("abc"), LIMIT),
    workflows=st.dictionaries(st.sampled_from("uvw"), LIMIT),
    resources=st.dictionaries(st.sampled_from("xyz"), LIMIT),
    weights=st.dictionaries(st.sampled_from("abc"), st.integers(1, 1000)),
    min_shares=st.dictionaries(st.sampled_from("abc"), LIMIT),
    served=st.none() | st.sets(st.sampled_from(("u", "v", "w", "u@1", "v@1", "w@2"))),
)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.lists(IN_FORCE, min_size=1, max_size=4))
def test_decisions_are_those_of_the_plain_rules_whatever_happened_before(seed: int, some_limits: list[Limits]) -> None:
    chance = random.Random(seed)
    gate, naive = Gate(some_limits[0]), Naive()
    for step in range(60):
        for number in chance.sample(range(10**6), chance.randrange(4)):
            new = token(
                f"{step:02d}{number:06d}",
                tenant=chance.choice("abcd"),
                workflow=chance.choice("uvw"),
                priority=chance.randint(1, 5),
                at=chance.randrange(40) * AGE_SECONDS * 100,
                resources=tuple(sorted(chance.sample("xyz", chance.randrange(3)))),
                version=chance.choice(("", "", "1", "2")),
            )
            gate.wait(new)
            naive.waiting[new.key] = new
        now = chance.choice(some_limits)
        ended = chance.sample(sorted(naive.held), chance.randrange(len(naive.held) + 1))
        endings = [Operation(chance.choice([RELEASE, REQUEUE]), key, naive.held[key].fence) for key in ended]
        endings = [each._replace(version=chance.choice("12")) if each.op == REQUEUE else each for each in endings]
        decision = decide(gate, now, endings)
        assert decision.operations == naive.decide(now, endings)
        if chance.random() < 0.2:
            continue  # it was not committed
        for operation in decision.operations:
            gate.apply(operation)
            _apply(naive, operation)
        assert gate.waiting == naive.waiting
        assert gate.held == naive.held


def _apply(naive: Naive, operation: Operation) -> None:
    if operation.op == GRANT:
        naive.held[operation.token] = naive.waiting.pop(operation.token)._replace(fence=operation.fence)
        return
    taken = naive.held.pop(operation.token)
    if operation.op == REQUEUE:
        naive.waiting[operation.token] = taken._replace(needs=f"{taken.workflow}@{operation.version}")


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_a_gate_that_lived_decides_like_one_that_was_just_built(seed: int) -> None:
    chance = random.Random(seed)
    now = limits(6, tenants={"a": 2}, workflows={"u": 2})
    gate = Gate(now)
    for step in range(80):
        new = token(f"{step:03d}", tenant=chance.choice("abc"), workflow=chance.choice("uv"), at=chance.randrange(50))
        gate.wait(new)
        endings = [Operation(RELEASE, key, each.fence) for key, each in gate.held.items() if chance.random() < 0.3]
        for operation in decide(gate, now, endings).operations:
            gate.apply(operation)
    fresh = gate_of(waiting=list(gate.waiting.values()), held=list(gate.held.values()), limits=now)
    for tenant in "abc":
        assert gate.board(tenant, 200) == fresh.board(tenant, 200)
    raised = limits(30)
    assert decide(gate, raised, []).operations == decide(fresh, raised, []).operations
