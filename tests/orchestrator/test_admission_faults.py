"""Two admissions at once, lost answers, crashes: nothing is let in twice, nothing leaks, everything gets done."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251  # the tests throw their own dice, always from a seed
from collections.abc import Awaitable, Callable

import pytest
from tests.orchestrator.faults import Crash, FaultyEngine, FaultyTables
from tests.orchestrator.world import World, hints, run_of

from penstock_backbone.errors import BackboneError, Retryable
from penstock_backbone.inventory import TOKENS
from penstock_backbone.records.tokens import HEAD_SK, PEND_MAX, head_key, token_key
from penstock_backbone.records.verbs import cancel_waiting
from penstock_backbone.vocabulary import Page, Put, Query
from penstock_orchestrator.domain.hints import Hints
from penstock_orchestrator.handlers.admission import DECISIONS_MAX, Admission

pytestmark = pytest.mark.anyio


async def insist(admission: Admission, **hinted: object) -> None:
    """As the host does: a turn that failed is repeated with the same hints."""
    for _ in range(30):
        try:
            turn = await admission.turn(hints(**hinted))  # type: ignore[arg-type]  # the hints are passed through
        except Retryable:
            continue
        if turn.finished:
            return
    raise AssertionError("the admission never finished")


def grants_and_fences(world: World) -> dict[str, list[int]]:
    """The fences under which each token was held, in order of commits."""
    fences: dict[str, list[int]] = {}
    for record in world.engine.storage.feed:
        if record.key.table == TOKENS and record.key.sk != HEAD_SK and record.item and record.item["st"] == "held":
            fences.setdefault(record.item["run"], []).append(record.item["f"])
    return fences


# --- lost answers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["get", "transact", "write_after", "write", "query"])
@pytest.mark.parametrize("kind", ["lose_request", "lose_response"])
@pytest.mark.parametrize("times", [1, 3])
async def test_a_lost_answer_costs_time_and_nothing_else(call: str, kind: str, times: int) -> None:
    world = World()
    engine = FaultyEngine(world.engine)
    getattr(engine.tables, kind).extend([call] * times)
    admission = world.orchestrator(engine).admission
    await world.limit(fleet=2)
    projects = [await world.submit(number) for number in range(1, 5)]
    await insist(admission, projects=projects)
    getattr(engine.tables, kind).extend([call] * times)
    await insist(admission, everything=True)
    for _ in range(4):
        ended = sorted(world.held())
        for run in ended:
            await world.finish(run)
        getattr(engine.tables, kind).extend([call] * times)
        await insist(admission, runs=ended)
    assert grants_and_fences(world) == {run_of(project): [1] for project in projects}
    assert world.most_held() == 2
    assert world.tokens() == {}


async def test_a_decision_whose_answer_was_lost_is_recognised_by_its_id() -> None:
    world = World()
    engine = FaultyEngine(world.engine)
    admission = world.orchestrator(engine).admission
    project = await world.submit(1)
    engine.tables.lose_response.append("write_after")
    await admission.turn(hints(projects=[project]))
    (head,) = await world.engine.tables.get([head_key(0)])
    assert head is not None
    assert head["seq"] == 1, "the second try changed nothing"
    assert admission.shards.are_current
    await admission.turn(hints())
    assert world.held() == {run_of(project)}


async def test_a_decision_that_never_gets_through_leaves_the_gate_to_be_read_again() -> None:
    world = World()
    engine = FaultyEngine(world.engine)
    admission = world.orchestrator(engine).admission
    project = await world.submit(1)
    engine.tables.lose_request.extend(["write_after"] * 20)
    with pytest.raises(Retryable):
        await admission.turn(hints(projects=[project]))
    assert not admission.shards.are_current
    engine.tables.lose_request.clear()
    await admission.turn(hints())
    assert world.held() == {run_of(project)}


# --- applying what was decided ----------------------------------------------------------------------------------


async def test_followers_that_were_not_tried_are_applied_before_the_next_decision() -> None:
    world = World()
    engine = FaultyEngine(world.engine)
    admission = world.orchestrator(engine).admission
    await world.limit(fleet=4)
    projects = [await world.submit(number) for number in range(1, 5)]
    engine.tables.unsettle = 2
    await admission.turn(hints(projects=projects))
    assert len(world.held()) == 2
    engine.tables.calls.clear()
    await admission.turn(hints())
    assert engine.tables.calls == ["write"]
    assert len(world.held()) == 4


async def test_a_token_that_a_decision_withdraws_is_not_given_a_slot_before_it_is_gone() -> None:
    """Its project is hinted at again, to a process that does not remember it, while the token still stands in the table."""
    world = World()
    await world.limit(fleet=0)
    project = await world.submit(1)
    await insist(world.orchestrator().admission, projects=[project])
    engine = FaultyEngine(world.engine)
    admission = world.orchestrator(engine).admission
    await insist(admission, everything=True)
    await world.write(cancel_waiting(await world.run(run_of(project)), reason="x", at=world.now_ms))
    engine.tables.unsettle = 1
    await admission.turn(Hints(leaving={run_of(project)}))
    assert run_of(project) in world.tokens()
    await world.limit(fleet=1)
    await insist(admission, projects=[project], limits=True)
    assert grants_and_fences(world) == {}
    assert world.tokens() == {}
    assert not admission.shards.held


async def test_a_crash_between_the_head_and_its_operations_is_finished_by_the_next_orchestrator() -> None:
    world = World()
    engine = FaultyEngine(world.engine)
    await world.limit(fleet=2)
    projects = [await world.submit(number) for number in range(1, 4)]
    engine.tables.stop_after_head = True
    with pytest.raises(Crash):
        await world.orchestrator(engine).admission.turn(hints(projects=projects))
    assert world.held() == set()
    second = world.orchestrator().admission
    await second.turn(hints())
    assert world.held() == {run_of(project) for project in projects[:2]}
    assert grants_and_fences(world) == {run_of(project): [1] for project in projects[:2]}


async def test_a_frozen_orchestrator_that_wakes_up_late_changes_nothing() -> None:
    world = World()
    await world.limit(fleet=1)
    frozen, other = world.orchestrator().admission, world.orchestrator().admission
    one, two = await world.submit(1), await world.submit(2)
    await frozen.turn(hints(projects=[one, two]))
    await world.finish(run_of(one))
    await other.turn(hints(runs=[run_of(one)]))
    assert world.held() == {run_of(two)}
    three = await world.submit(3)
    await frozen.turn(hints(projects=[three], runs=[run_of(one)]))
    assert world.held() == {run_of(two)}
    assert frozen.shards[0].gate.held.keys() == other.shards[0].gate.held.keys()


async def test_one_orchestrator_sees_what_another_enqueued_once_it_reads_everything_again() -> None:
    world = World()
    await world.limit(fleet=1)
    one, other = world.orchestrator().admission, world.orchestrator().admission
    await one.turn(hints(projects=[await world.submit(1)]))
    await other.turn(hints(projects=[await world.submit(2)]))
    await world.finish(run_of("prj_0001"))
    await one.turn(hints(runs=[run_of("prj_0001")]))
    assert world.held() == set(), "it has not heard of the second one yet"
    await one.turn(hints(everything=True))
    assert world.held() == {run_of("prj_0002")}


# --- many things at once ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(25))
async def test_two_admissions_interleaved_at_every_call_never_admit_too_many_and_finish_everything(seed: int) -> None:
    chance = random.Random(seed)
    world = World()
    limit = chance.randint(1, 4)
    await world.limit(fleet=limit)
    engines = [FaultyEngine(world.engine, lambda: chance.randrange(3)) for _ in range(2)]
    for engine in engines:
        for faults in (engine.tables.lose_request, engine.tables.lose_response):
            faults.extend(chance.choice(["get", "query", "write", "write_after", "transact"]) for _ in range(4))
    projects = [await world.submit(number) for number in range(1, 16)]
    undelivered = [*projects, *chance.sample(projects, 5)]
    chance.shuffle(undelivered)

    async def work(engine: FaultyEngine) -> None:
        admission = world.orchestrator(engine).admission
        for _ in range(600):
            mine = [undelivered.pop() for _ in range(chance.randrange(3)) if undelivered]
            ended = [run for run in sorted(world.held()) if chance.random() < 0.4]
            for run in ended:
                if (await world.run(run))["state"] == "queued":
                    await world.finish(run, fence=world.tokens()[run]["f"])
            if chance.random() < 0.1:
                engine.tables.unsettle = 1
            await insist(admission, projects=mine, runs=ended, everything=chance.random() < 0.2)
            if not undelivered and not world.tokens():
                return

    await asyncio.gather(*map(work, engines))
    assert world.most_held() <= limit
    assert world.tokens() == {}
    for project in projects:
        assert (await world.run(run_of(project)))["state"] == "succeeded"
    assert all(fences == sorted(set(fences)) for fences in grants_and_fences(world).values())
    assert sorted(world.granted()) == sorted(run_of(project) for project in projects), "each was let in once"


async def test_errors_that_no_repetition_helps_reach_the_caller() -> None:
    world = World()
    admission = world.orchestrator().admission
    await admission.turn(hints(projects=[await world.submit(1)]))

    async def broken(*_: object) -> None:
        raise BackboneError("the disk is full: free some space")

    engine = FaultyEngine(world.engine)
    engine.tables.write_after = broken  # type: ignore[assignment, method-assign]  # a fault made by hand
    faulty = world.orchestrator(engine).admission
    with pytest.raises(BackboneError, match="disk is full"):
        await faulty.turn(hints(projects=[await world.submit(2)]))
    assert not faulty.shards.are_current


async def test_after_a_defect_of_its_own_the_admission_reads_everything_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    admission = world.orchestrator().admission
    await admission.turn(hints())
    monkeypatch.setattr(admission, "_decide", None)
    with pytest.raises(TypeError):
        await admission.turn(hints(projects=[await world.submit(1)]))
    monkeypatch.undo()
    assert not admission.shards.are_current
    await admission.turn(hints())
    assert world.held() == {"run_0001"}


async def test_what_one_turn_cannot_decide_is_left_to_the_next() -> None:
    world = World()
    await world.limit(fleet=100_000)
    admission = world.orchestrator().admission
    await admission.turn(hints())
    count = DECISIONS_MAX * PEND_MAX + 5
    gate = admission.shards[0].gate
    tokens = [
        {
            "st": "waiting",
            "f": 0,
            "run": f"run_{number:05d}",
            "project": "p",
            "tenant": "acme",
            "wf": "w",
            "prio": 3,
            "at": 1,
        }
        for number in range(count)
    ]
    for start in range(0, count, 100):
        some = tokens[start : start + 100]
        await world.write(*(Put(token_key(0, f"acme#3#{token['run']}"), token) for token in some))
    assert not gate.waiting
    turn = await admission.turn(hints(everything=True))
    assert not turn.finished
    assert (await admission.turn(hints())).finished
    assert len(world.held()) == count


# --- the first head --------------------------------------------------------------------------------------------


class OthersFirst(FaultyTables):
    """Somebody else does all of that before this one reads tokens."""

    others: list[Callable[[], Awaitable[object]]]

    async def query(self, query: Query) -> Page:
        while query.pk == "TK#0" and self.others:
            await self.others.pop(0)()
        return await super().query(query)


def looked_before(world: World, *others: Callable[[], Awaitable[object]]) -> Admission:
    """One that has found no head yet, when others do that."""
    engine = FaultyEngine(world.engine)
    engine.tables = tables = OthersFirst(world.engine)
    tables.others = list(others)
    return world.orchestrator(engine).admission


async def test_a_head_that_another_admission_makes_meanwhile_is_not_said_to_be_gone() -> None:
    world = World()
    first, project = world.orchestrator().admission, await world.submit(1)
    second = looked_before(world, lambda: first.turn(hints(projects=[project])))
    await second.turn(hints())
    assert second.shards[0].gate.held_of(run_of(project)) is not None


async def test_a_head_whose_tenants_were_spread_meanwhile_is_not_decided_by_without_its_ledger() -> None:
    world = World()
    first, project = world.orchestrator().admission, await world.submit(1)

    async def spread() -> None:
        await world.limit(shards=3)
        await insist(first, limits=True)

    second = looked_before(world, lambda: first.turn(hints(projects=[project])), spread)
    with pytest.raises(Retryable, match="names a ledger"):
        await second.turn(hints())
    await insist(second)
    assert len(second.shards) == 3
