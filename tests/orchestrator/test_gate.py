"""The gate: who is next, and that it stays what the tokens say through every change."""

from __future__ import annotations

import random  # noqa: TID251  # the tests throw their own dice, always from a seed
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_backbone.records.limits import FLEET, tenant_scope, workflow_scope
from penstock_backbone.records.tokens import GRANT, PEND_MAX, RELEASE, REQUEUE, Operation, token_sort_key
from penstock_orchestrator.domain.decision import decide
from penstock_orchestrator.domain.gate import Gate, Token
from penstock_orchestrator.domain.limits import Limits
from penstock_orchestrator.domain.picker import AGE_SECONDS


def token(run: str, *, tenant: str = "a", workflow: str = "w", priority: int = 3, at: int = 0, fence: int = 0) -> Token:
    key = token_sort_key(tenant, priority, run)
    return Token(key, run, f"prj-{run}", tenant, workflow, priority, at, fence)


def gate_of(*, waiting: list[Token] | None = None, held: list[Token] | None = None, limits: Limits) -> Gate:
    gate = Gate(limits)
    for each in waiting or []:
        gate.wait(each)
    for each in held or []:
        gate.hold(each)
    return gate


def limits(
    fleet: int = 100,
    *,
    tenants: dict[str, int] | None = None,
    workflows: dict[str, int] | None = None,
    weights: dict[str, int] | None = None,
    min_shares: dict[str, int] | None = None,
) -> Limits:
    scopes = {FLEET: fleet}
    scopes |= {tenant_scope(name): value for name, value in (tenants or {}).items()}
    scopes |= {workflow_scope(name): value for name, value in (workflows or {}).items()}
    return Limits(scopes, weights or {}, min_shares or {})


def granted(gate: Gate, in_force: Limits, endings: list[Operation] | None = None) -> list[str]:
    operations = decide(gate, in_force, endings or []).operations
    return [operation.token.rpartition("#")[2] for operation in operations if operation.op == GRANT]


# --- cases -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("waiting", "held", "in_force", "expected"),
    [
        pytest.param([token("1")], [], limits(0), [], id="a fleet limit of 0 lets nobody in"),
        pytest.param([token("1"), token("2")], [], limits(1), ["1"], id="the fleet limit is kept"),
        pytest.param([token("2", at=2), token("1", at=1)], [], limits(), ["1", "2"], id="first accepted, first served"),
        pytest.param([token("b"), token("a")], [], limits(), ["a", "b"], id="of the same moment, by run id"),
        pytest.param(
            [token("1", priority=3), token("2", priority=1, at=9)], [], limits(), ["2", "1"], id="priority 1 goes first"
        ),
        pytest.param(
            [token("1"), token("2", at=1), token("3", tenant="b", at=9)],
            [],
            limits(2),
            ["1", "3"],
            id="a tenant with nothing comes before a tenant with something, however late it asked",
        ),
        pytest.param(
            [token("1", at=5), token("2", tenant="b", at=4)], [], limits(1), ["2"], id="a tie goes to the oldest"
        ),
        pytest.param(
            [token("1", priority=1, at=5), token("2", tenant="b", priority=5, at=4)],
            [],
            limits(1),
            ["2"],
            id="a priority counts inside its own tenant only",
        ),
        pytest.param(
            [token("1"), token("2", tenant="b", at=1)],
            [token("9", tenant="a", fence=1)],
            limits(),
            ["2", "1"],
            id="what is held counts",
        ),
        pytest.param(
            [token("1"), token("2", at=1)], [], limits(tenants={"a": 1}), ["1"], id="the tenant's limit is kept"
        ),
        pytest.param(
            [token("1", priority=3), token("2", priority=2, at=AGE_SECONDS * 1000)],
            [],
            limits(1),
            ["1"],
            id="who has waited for AGE_SECONDS is worth a priority more",
        ),
        pytest.param(
            [token("1", priority=3), token("2", priority=2, at=AGE_SECONDS * 1000 - 1)],
            [],
            limits(1),
            ["2"],
            id="and not before",
        ),
        pytest.param(
            [token("1", at=9), token("2", tenant="b")],
            [token("8", fence=1), token("9", tenant="b", fence=1)],
            limits(3, weights={"a": 2}),
            ["1"],
            id="a tenant of twice the weight comes first at the same number",
        ),
        pytest.param(
            [token("1"), token("2", tenant="b", at=9)],
            [token("9", tenant="b", fence=1)],
            limits(2, min_shares={"b": 2}),
            ["2"],
            id="a tenant below its least share comes before one with nothing",
        ),
        pytest.param(
            [token("1"), token("2", workflow="v", at=1)],
            [token("9", tenant="b", fence=1)],
            limits(workflows={"w": 1}),
            ["2"],
            id="a workflow at its limit is skipped, whoever holds it, and does not block",
        ),
        pytest.param(
            [token("1", priority=1), token("2", workflow="v", priority=5)],
            [],
            limits(workflows={"w": 0}),
            ["2"],
            id="a blocked urgent run lets a less urgent one pass",
        ),
        pytest.param(
            [token("1")],
            [token("7", fence=1), token("8", fence=1), token("9", fence=1)],
            limits(2),
            [],
            id="a limit that was lowered below what is held drains",
        ),
    ],
)
def test_whose_turn_it_is(waiting: list[Token], held: list[Token], in_force: Limits, expected: list[str]) -> None:
    assert granted(gate_of(waiting=waiting, held=held, limits=in_force), in_force) == expected


def test_a_grant_raises_the_fence_by_one() -> None:
    gate = gate_of(waiting=[token("1", fence=4)], limits=limits())
    assert decide(gate, limits(), []).operations == (Operation(GRANT, "a#3#1", 5),)


def test_releases_come_first_and_their_slots_are_given_away_at_once() -> None:
    gate = gate_of(waiting=[token("2")], held=[token("1", fence=1)], limits=limits(1))
    operations = decide(gate, limits(1), [Operation(RELEASE, "a#3#1", 1)]).operations
    assert operations == (Operation(RELEASE, "a#3#1", 1), Operation(GRANT, "a#3#2", 1))


def test_a_token_is_named_once_in_a_decision_even_when_it_is_taken_back() -> None:
    gate = gate_of(held=[token("1", fence=1)], limits=limits(1))
    requeue = Operation(REQUEUE, "a#3#1", 1)
    assert decide(gate, limits(1), [requeue, requeue]).operations == (requeue,)
    gate.apply(requeue)
    assert decide(gate, limits(1), []).operations == (Operation(GRANT, "a#3#1", 2),)


@pytest.mark.parametrize("ending", [Operation(RELEASE, "a#3#1", 2), Operation(REQUEUE, "a#3#9", 1)])
def test_an_ending_that_the_gate_does_not_hold_is_passed_over(ending: Operation) -> None:
    gate = gate_of(held=[token("1", fence=1)], limits=limits(1))
    assert decide(gate, limits(1), [ending]).operations == ()


def test_a_requeued_run_goes_back_to_the_front() -> None:
    gate = gate_of(waiting=[token("2", at=2)], held=[token("1", at=1, fence=1)], limits=limits(1))
    gate.apply(Operation(REQUEUE, "a#3#1", 1))
    assert granted(gate, limits(1)) == ["1"]


def test_a_decision_fits_one_redo_list_and_says_that_there_may_be_more() -> None:
    gate = gate_of(waiting=[token(f"{number:03d}") for number in range(PEND_MAX + 1)], limits=limits(1000))
    decision = decide(gate, limits(1000), [])
    assert len(decision.operations) == PEND_MAX
    assert decision.is_full


def test_new_limits_count_from_the_next_decision_on() -> None:
    gate = gate_of(waiting=[token("1"), token("2")], limits=limits(tenants={"a": 0}))
    assert granted(gate, limits(tenants={"a": 0})) == []
    assert granted(gate, limits(tenants={"a": 1})) == ["1"]
    assert granted(gate, limits()) == ["1", "2"]


def test_applying_an_operation_twice_changes_nothing_more() -> None:
    gate = gate_of(waiting=[token("1")], limits=limits())
    for operation in (Operation(GRANT, "a#3#1", 1), Operation(REQUEUE, "a#3#1", 1), Operation(GRANT, "a#3#1", 2)):
        gate.apply(operation)
        gate.apply(operation)
    gate.apply(Operation(GRANT, "a#3#1", 1))
    assert gate.holds("a#3#1", 2)
    gate.apply(Operation(RELEASE, "a#3#1", 1))
    assert gate.holds("a#3#1", 2)
    gate.apply(Operation(RELEASE, "a#3#1", 2))
    gate.apply(Operation(RELEASE, "a#3#1", 2))
    assert not gate.knows("a#3#1")


def test_a_board_shows_counts_and_the_first_places_in_order() -> None:
    waiting = [token("1", at=1), token("2", at=2, workflow="v"), token("3", at=3, priority=1)]
    gate = gate_of(waiting=waiting, held=[token("9", fence=1)], limits=limits())
    assert gate.board("a", 10) == (3, 1, ["3", "1", "2"], [("9", "w")])
    assert gate.board("a", 2).places == ["3", "1"]
    assert gate.board("nobody", 2) == (0, 0, [], [])


# --- against a naive reading of the rules ----------------------------------------------------------------


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
        of_workflow = Counter(each.workflow for each in held.values())

        def may_go(each: Token) -> bool:
            tenant, workflow = in_force.of_tenant(each.tenant), in_force.of_workflow(each.workflow)
            return (tenant is None or of_tenant[each.tenant] < tenant) and (
                workflow is None or of_workflow[each.workflow] < workflow
            )

        able = [each for each in waiting.values() if may_go(each)]
        if not able or len(held) >= in_force.fleet:
            return None

        def share(tenant: str) -> tuple[bool, Fraction]:
            held_by = of_tenant[tenant]
            return held_by >= in_force.min_share(tenant), Fraction(held_by, in_force.weight(tenant))

        def urgency(each: Token) -> tuple[int, int, str]:
            return each.at + 1000 * AGE_SECONDS * each.priority, each.at, each.run

        tenant = min(able, key=lambda each: (share(each.tenant), each.at, each.run)).tenant
        return min((each for each in able if each.tenant == tenant), key=urgency)


@st.composite
def in_force(draw: st.DrawFn) -> Limits:
    limit = st.integers(0, 4)
    return limits(
        draw(st.integers(0, 12)),
        tenants=draw(st.dictionaries(st.sampled_from("abc"), limit)),
        workflows=draw(st.dictionaries(st.sampled_from("uvw"), limit)),
        weights=draw(st.dictionaries(st.sampled_from("abc"), st.integers(1, 1000))),
        min_shares=draw(st.dictionaries(st.sampled_from("abc"), limit)),
    )


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.lists(in_force(), min_size=1, max_size=4))
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
            )
            gate.wait(new)
            naive.waiting[new.key] = new
        now = chance.choice(some_limits)
        ended = chance.sample(sorted(naive.held), chance.randrange(len(naive.held) + 1))
        endings = [Operation(chance.choice([RELEASE, REQUEUE]), key, naive.held[key].fence) for key in ended]
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
        naive.waiting[operation.token] = taken


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


def test_backlogged_tenants_hold_equal_shares_within_one() -> None:
    """Max-min fairness: with slots turning over at random, no two backlogged tenants differ by more than one."""
    chance = random.Random(7)
    now = limits(25)
    gate = Gate(now)
    for number in range(4000):
        tenant = "loud" if number % 10 else chance.choice("abc")
        gate.wait(token(f"{number:05d}", tenant=tenant, at=number))
    for _ in range(60):
        endings = [Operation(RELEASE, key, each.fence) for key, each in gate.held.items() if chance.random() < 0.4]
        for operation in decide(gate, now, endings).operations:
            gate.apply(operation)
        held = Counter(each.tenant for each in gate.held.values())
        backlogged = {each.tenant for each in gate.waiting.values()}
        shares = [held[tenant] for tenant in backlogged]
        assert max(shares) - min(shares) <= 1, held


def test_inside_a_tenant_priority_and_workflow_nobody_is_overtaken() -> None:
    chance = random.Random(3)
    now = limits(4, workflows={"u": 1})
    gate = Gate(now)
    order: list[Token] = []
    for number in range(200):
        gate.wait(
            token(
                f"{number:05d}",
                tenant=chance.choice("ab"),
                workflow=chance.choice("uv"),
                priority=chance.randint(1, 2),
                at=number,
            )
        )
    while gate.waiting or gate.held:
        endings = [Operation(RELEASE, key, each.fence) for key, each in gate.held.items()]
        for operation in decide(gate, now, endings).operations:
            gate.apply(operation)
            if operation.op == GRANT:
                order.append(gate.held[operation.token])
    lanes: dict[tuple[str, str, int], list[int]] = {}
    for each in order:
        lanes.setdefault((each.tenant, each.workflow, each.priority), []).append(each.at)
    assert all(ats == sorted(ats) for ats in lanes.values())
