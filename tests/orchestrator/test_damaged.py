"""An item that nobody can read any more, or that a newer version wrote, holds nobody up but its own run."""

from __future__ import annotations

import pytest
from tests.orchestrator.test_returning import rests, timers
from tests.orchestrator.test_sweep import RUN, rounds
from tests.orchestrator.world import World, run_of

from penstock_backbone.inventory import RUNS
from penstock_backbone.local.limits import item_size
from penstock_backbone.records import verbs
from penstock_backbone.records.limits import FLEET, Stated, in_use_key, workflow_scope
from penstock_backbone.records.runs import QUEUED, WAITING, run_key
from penstock_backbone.records.sessions import bury_session, session_key
from penstock_backbone.records.waits import TIMERS_PK
from penstock_backbone.vocabulary import ITEM_BYTES_MAX, Key, Put, Update
from penstock_orchestrator.bootstrap import Parts
from penstock_orchestrator.domain.hints import Hints

pytestmark = pytest.mark.anyio

GOOD = "run_0002"


async def damage(world: World, *names: str) -> None:
    await world.write(Update(run_key(RUN), {"broken": True}, remove=names))


async def two_at_work(world: World, parts: Parts) -> None:
    """RUN, which will be damaged, and GOOD: both claimed, and nobody else fits in."""
    await world.limit(fleet=2)
    await world.open_session("ses_1")
    for number in (1, 2):
        await parts.admission.turn(Hints(projects={(project := await world.submit(number)): run_of(project)}))
        await world.claim(run_of(project))


async def waits_third(world: World) -> Hints:
    project = await world.submit(3)
    return Hints(projects={project: run_of(project)})


@pytest.mark.parametrize("lost", ["token", "state", "fence", "workflow", "facts"])
async def test_a_damaged_run_that_is_over_keeps_no_other_slot_from_being_freed(lost: str) -> None:
    world = World()
    parts = world.orchestrator()
    await two_at_work(world, parts)
    for run in (RUN, GOOD):
        await world.finish(run)
    await damage(world, lost)
    found = await waits_third(world)
    found.runs = {RUN, GOOD}
    await parts.admission.turn(found)
    assert world.tokens()["run_0003"]["st"] == "held"
    assert GOOD not in world.tokens()


async def test_a_damaged_run_that_left_the_line_holds_nobody_else_in_it() -> None:
    world = World()
    await world.limit(fleet=0)
    parts = world.orchestrator()
    for number in (1, 2):
        await parts.admission.turn(Hints(projects={(project := await world.submit(number)): run_of(project)}))
        await world.write(verbs.cancel_waiting(await world.run(run_of(project)), reason="x", at=world.now_ms))
    await damage(world, "token")
    await parts.admission.turn(Hints(leaving={RUN, GOOD}))
    assert set(world.tokens()) == {RUN}


@pytest.mark.parametrize("lost", ["state", "fence", "tenant", "project_id", "created"])
async def test_a_damaged_run_that_returns_does_not_keep_another_from_its_token(lost: str) -> None:
    world = World()
    parts = world.orchestrator()
    await two_at_work(world, parts)
    for run in (RUN, GOOD):
        await rests(world, run)
    await parts.admission.turn(Hints(runs={RUN, GOOD}))
    for run in (RUN, GOOD):
        item = await world.run(run)
        item["due"] = 1
        await world.write(verbs.wake(item, kind="timer", at=world.now_ms))
    await damage(world, lost)
    await parts.admission.turn(Hints(returning={RUN, GOOD}))
    assert set(world.tokens()) == {GOOD}


@pytest.mark.parametrize("lost", ["state", "due", "fence", "seq", "tenant"])
async def test_a_damaged_run_whose_time_has_come_keeps_no_other_from_waking(lost: str) -> None:
    world = World()
    parts = world.orchestrator()
    await two_at_work(world, parts)
    for run in (RUN, GOOD):
        await rests(world, run, WAITING, due=world.now_ms + 1000)
    await damage(world, lost)
    await rounds(world, parts, 3)
    assert (await world.run(GOOD))["state"] == QUEUED
    assert GOOD in world.tokens()


async def test_a_damaged_timer_keeps_no_other_from_ringing() -> None:
    world = World()
    parts = world.orchestrator()
    await two_at_work(world, parts)
    await world.write(Put(Key(RUNS, TIMERS_PK, "0"), {"due": "soon"}))
    await rests(world, GOOD, WAITING, due=world.now_ms + 1000)
    await rounds(world, parts, 3)
    assert (await world.run(GOOD))["state"] == QUEUED
    assert await timers(world) == 1


@pytest.mark.parametrize("lost", ["hb", "st"])
async def test_a_damaged_session_keeps_no_dead_runner_from_being_found(lost: str) -> None:
    world = World()
    parts = world.orchestrator()
    await two_at_work(world, parts)
    await world.open_session("ses_0")
    await world.write(Update(session_key("ses_0"), {"broken": True}, remove=(lost,)))
    await world.write(bury_session("ses_1"))
    await rounds(world, parts, 3)
    assert {run: token["f"] for run, token in world.tokens().items()} == {RUN: 2, GOOD: 2}


async def test_a_run_of_a_damaged_session_stays_with_it_and_others_go_on() -> None:
    """Nobody can say yet that its runner is dead."""
    world = World()
    parts = world.orchestrator()
    await two_at_work(world, parts)
    await world.write(Update(session_key("ses_1"), {"broken": True}, remove=("st",)))
    await world.finish(GOOD)
    await rounds(world, parts, 3)
    assert {run: token["f"] for run, token in world.tokens().items()} == {RUN: 1}


@pytest.mark.parametrize("lost", ["state", "fence", "facts", "seq", "at"])
async def test_a_damaged_run_is_not_asked_to_yield_and_another_is(lost: str) -> None:
    world = World()
    await world.change(FLEET, Stated(2, yields=True))
    parts = world.orchestrator()
    await world.open_session("ses_1")
    for number in (1, 2):
        await parts.admission.turn(Hints(projects={(project := await world.submit(number)): run_of(project)}))
        await world.claim(run_of(project))
    await damage(world, lost)
    hungry = await world.submit(3, tenant="hungry")
    await parts.admission.turn(Hints(projects={hungry: run_of(hungry)}))
    await parts.yields.turn()
    assert "yielding" in await world.run(GOOD)


async def test_a_damaged_board_keeps_no_other_from_being_drawn() -> None:
    world = World()
    parts = world.orchestrator()
    await world.write(Put(in_use_key(workflow_scope("build")), {"held": "many"}))
    project = await world.submit(1)
    await parts.admission.turn(Hints(projects={project: run_of(project)}))
    await parts.boards.turn()
    (drawn,) = await world.engine.tables.get([in_use_key(workflow_scope("build"))])
    assert drawn is not None
    assert drawn["held"] == 1


async def test_a_run_without_room_for_another_fact_keeps_no_other_from_going_on_elsewhere() -> None:
    world = World()
    parts = world.orchestrator()
    await two_at_work(world, parts)
    await world.open_session("ses_2")
    await world.write(bury_session("ses_1"))
    await fill(world, RUN)
    await rounds(world, parts, 3)
    assert {run: token["f"] for run, token in world.tokens().items()} == {RUN: 1, GOOD: 2}


async def test_a_run_without_room_whose_time_has_come_keeps_no_dead_session_and_no_other_timer() -> None:
    world = World()
    parts = world.orchestrator()
    await two_at_work(world, parts)
    await rests(world, RUN, WAITING, due=world.now_ms + 1000)
    await fill(world, RUN)
    await rounds(world, parts, 3)
    await rests(world, GOOD, WAITING, due=world.now_ms + 1000)
    await rounds(world, parts, 3)
    assert (await world.run(GOOD))["state"] == QUEUED


async def fill(world: World, run: str) -> None:
    item = await world.run(run)
    await world.write(Update(run_key(run), {"filling": "x" * (ITEM_BYTES_MAX - item_size(item) - 20)}))
