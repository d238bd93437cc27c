"""The gate: who is next, and that it stays what the tokens say through every change."""

from __future__ import annotations

import random  # noqa: TID251  # the tests throw their own dice, always from a seed
from collections import Counter
from collections.abc import Iterable

import pytest

from penstock_backbone.records.limits import (
    FLEET,
    HUNGRY_MAX,
    resource_scope,
    shared_scopes,
    tenant_scope,
    workflow_scope,
)
from penstock_backbone.records.sessions import needed
from penstock_backbone.records.tokens import GRANT, PEND_MAX, RELEASE, REQUEUE, Operation, token_sort_key
from penstock_orchestrator.domain.decision import decide
from penstock_orchestrator.domain.gate import Gate
from penstock_orchestrator.domain.limits import Limits
from penstock_orchestrator.domain.occupancy import Occupancy
from penstock_orchestrator.domain.picker import AGE_SECONDS
from penstock_orchestrator.domain.token import Token


def token(
    run: str,
    *,
    tenant: str = "a",
    workflow: str = "w",
    priority: int = 3,
    at: int = 0,
    fence: int = 0,
    resources: tuple[str, ...] = (),
    version: str = "",
) -> Token:
    key = token_sort_key(tenant, priority, run)
    kind = shared_scopes(workflow, resources)
    return Token(
        at, run, key, f"prj-{run}", tenant, workflow, resources, kind, needed(workflow, version), priority, fence
    )


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
    resources: dict[str, int] | None = None,
    weights: dict[str, int] | None = None,
    min_shares: dict[str, int] | None = None,
    served: Iterable[str] | None = None,
) -> Limits:
    scopes = {FLEET: fleet}
    scopes |= {tenant_scope(name): value for name, value in (tenants or {}).items()}
    scopes |= {workflow_scope(name): value for name, value in (workflows or {}).items()}
    scopes |= {resource_scope(name): value for name, value in (resources or {}).items()}
    everything = None if served is None else frozenset(served)
    return Limits(scopes, weights or {}, min_shares or {}, served=everything)


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


def test_a_run_that_resumes_keeps_its_slot_however_many_wait_behind_it() -> None:
    gate = gate_of(waiting=[token("2"), token("3")], held=[token("1", fence=1)], limits=limits(1))
    requeue = Operation(REQUEUE, "a#3#1", 1)
    first = decide(gate, limits(1), [requeue], {"a#3#1"})
    assert first.operations == (requeue,)
    assert first.leaves_more
    gate.apply(requeue)
    assert decide(gate, limits(1), [requeue], {"a#3#1"}).operations == (Operation(GRANT, "a#3#1", 2),)


def test_a_run_that_resumes_stands_in_the_line_like_any_other() -> None:
    """Older runs and tenants that hold less go first, and others take slots that it does not."""
    held = [token("1", tenant="b", fence=1), token("5", fence=1)]
    gate = gate_of(waiting=[token("2", tenant="b"), token("3")], held=held, limits=limits(3))
    requeue = Operation(REQUEUE, "a#3#5", 1)
    decision = decide(gate, limits(3), [requeue], {"a#3#5"})
    assert decision.operations == (requeue, Operation(GRANT, "a#3#3", 1), Operation(GRANT, "b#3#2", 1))


def test_a_run_that_nobody_has_taken_up_lets_the_others_go_first() -> None:
    """Where it cannot be taken up at all it would hold its slot for ever."""
    gate = gate_of(waiting=[token("2")], held=[token("1", fence=1)], limits=limits(1))
    requeue = Operation(REQUEUE, "a#3#1", 1)
    assert decide(gate, limits(1), [requeue]).operations == (requeue, Operation(GRANT, "a#3#2", 1))


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
    assert gate.board("a", 10) == (3, 1, ["3", "1", "2"], [("9", "w")], 0)
    assert gate.board("a", 2).places == ["3", "1"]
    assert gate.board("nobody", 2) == (0, 0, [], [], 0)


def test_a_board_counts_those_that_more_than_the_limits_of_tenant_and_fleet_keeps_out() -> None:
    waiting = [token("1", at=1, workflow="v"), token("2", at=2, workflow="v"), token("3", at=3)]
    closed = limits(fleet=1, tenants={"a": 1}, workflows={"v": 0})
    gate = gate_of(waiting=waiting, held=[token("9", fence=1)], limits=closed)
    assert gate.board("a", 10).passed_over == 2
    gate.obey(limits(fleet=1))
    assert gate.board("a", 10).passed_over == 0


def test_tenants_are_hungry_that_hold_nothing_and_that_only_the_fleet_keeps_out() -> None:
    waiting = [
        token("1", tenant="b"), token("2", tenant="b"), token("3", tenant="paused"), token("4", tenant="c", workflow="v"),
        token("5", tenant="a"),
    ]  # fmt: skip
    closed = limits(fleet=1, tenants={"paused": 0}, workflows={"v": 0})
    gate = gate_of(waiting=waiting, held=[token("9", fence=1, tenant="a")], limits=closed)
    assert gate.hungry() == 1, "b"
    gate.obey(limits(fleet=1))
    assert gate.hungry() == HUNGRY_MAX, "of b, c and the one that was paused"


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


def test_when_one_run_takes_the_place_of_another_only_their_two_tenants_shares_are_found_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: Counter[str] = Counter()
    share = Occupancy.share

    def counted(occupancy: Occupancy, tenant: str) -> int:
        found[tenant] += 1
        return share(occupancy, tenant)

    in_force = limits(4)
    tenants = [f"tenant-{number:02d}" for number in range(20)]
    gate = gate_of(
        waiting=[token(f"{at}", tenant=tenant, at=at) for at, tenant in enumerate(tenants * 5)], limits=in_force
    )
    for operation in decide(gate, in_force, []).operations:
        gate.apply(operation)
    monkeypatch.setattr(Occupancy, "share", counted)
    for _ in range(40):
        ended = next(iter(gate.held.values()))
        for operation in decide(gate, in_force, [Operation(RELEASE, ended.key, ended.fence)]).operations:
            gate.apply(operation)
    assert 40 < found.total() <= 2 * 40, "however often the gate tries a move, takes it back and makes it"


def test_a_full_resource_is_passed_over_and_blocks_nobody_who_does_without_it() -> None:
    now = limits(10, resources={"model:large": 1})
    gate = gate_of(
        waiting=[
            token("1", workflow="u", resources=("model:large",), at=1),
            token("2", workflow="v", resources=("model:large", "model:small"), at=2),
            token("3", workflow="v", resources=("model:small",), at=3),
            token("4", workflow="w", at=4),
        ],
        limits=now,
    )
    assert granted(gate, now) == ["1", "3", "4"]
    for operation in decide(gate, now, []).operations:
        gate.apply(operation)
    assert granted(gate, now) == []
    assert granted(gate, now, [Operation(RELEASE, token_sort_key("a", 3, "1"), 1)]) == ["2"]


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
