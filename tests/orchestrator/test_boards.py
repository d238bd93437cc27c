"""The boards on which the waiting see their place: drawn when something has changed, and true again after a restart."""

from __future__ import annotations

import asyncio

import pytest
from tests.orchestrator.faults import FaultyEngine
from tests.orchestrator.test_admission import submitted
from tests.orchestrator.world import World, hints, run_of

from penstock_backbone.records.limits import (
    DURATIONS_MAX,
    FLEET,
    HUNGRY_MAX,
    Stated,
    board_key,
    in_use_key,
    tenant_scope,
    workflow_scope,
)
from penstock_backbone.records.runs import RunItem, as_run
from penstock_backbone.vocabulary import Item
from penstock_orchestrator.bootstrap import Parts
from penstock_orchestrator.domain import durations as durations_module
from penstock_orchestrator.domain.durations import Durations
from penstock_orchestrator.domain.hints import Hints
from penstock_orchestrator.handlers import boards as boards_module

pytestmark = pytest.mark.anyio


async def test_boards_show_who_waits_and_are_drawn_only_when_something_changed() -> None:
    world = World()
    engine = FaultyEngine(world.engine)
    parts = world.orchestrator(engine)
    await world.limit(fleet=1)
    projects = await submitted(world, 3)
    await parts.admission.turn(hints(projects=projects))
    await parts.boards.turn()
    (board,) = await world.engine.tables.get([board_key("acme")])
    assert board is not None
    assert (board["waiting"], board["held"], board["places"]) == (2, 1, [run_of(project) for project in projects[1:]])
    engine.tables.calls.clear()
    await parts.boards.turn()
    assert engine.tables.calls == []


async def test_a_board_that_could_not_be_drawn_stays_due() -> None:
    world = World()
    engine = FaultyEngine(world.engine)
    parts = world.orchestrator(engine)
    await parts.admission.turn(hints(projects=[await world.submit(1)]))
    engine.tables.lose_request.append("write")
    async with asyncio.timeout(1.0):
        await parts.boards.due()
        with pytest.raises(Exception, match="lost"):
            await parts.boards.turn()
        await parts.boards.due()
        await parts.boards.turn()
    (board,) = await world.engine.tables.get([board_key("acme")])
    assert board is not None
    assert board["held"] == 1


async def test_a_board_is_due_when_somebody_began_to_wait_or_was_let_in_and_not_before() -> None:
    world = World()
    parts = world.orchestrator()
    await parts.admission.turn(hints())
    await parts.boards.turn()
    due = asyncio.ensure_future(parts.boards.due())
    await parts.admission.turn(hints())
    await world.clock.sleep(0.0)
    assert not due.done()
    await parts.admission.turn(hints(projects=[await world.submit(1)]))
    async with asyncio.timeout(1.0):
        await due


async def test_when_everything_is_over_the_board_says_so_even_after_a_restart() -> None:
    world = World()
    first = world.orchestrator()
    project = await world.submit(1)
    await first.admission.turn(hints(projects=[project]))
    await first.boards.turn()
    await world.finish(run_of(project))
    await first.admission.turn(hints(runs=[run_of(project)]))
    second = world.orchestrator()
    await second.admission.turn(hints())
    await second.boards.turn()
    (board,) = await world.engine.tables.get([board_key("acme")])
    assert board is not None
    assert (board["waiting"], board["held"], board["places"]) == (0, 0, [])


async def test_a_tenant_that_is_drained_is_shown_so_even_when_the_orchestrator_died_before_it_could_draw_that() -> None:
    """And others were let in since, so that the head no longer names it."""
    world = World()
    first = world.orchestrator()
    project = await world.submit(1, tenant="drained")
    await first.admission.turn(hints(projects=[project]))
    await first.boards.turn()
    await world.change(tenant_scope("drained"), Stated(None, paused=True))
    await world.finish(run_of(project))
    await first.admission.turn(hints(runs=[run_of(project)], limits=True))
    await first.admission.turn(hints(projects=[await world.submit(2)]))
    second = world.orchestrator()
    await second.admission.turn(hints())
    await second.boards.turn()
    (board,) = await world.engine.tables.get([board_key("drained")])
    assert board is not None
    assert board["held"] == 0


async def test_a_reload_that_finds_nothing_new_draws_nothing() -> None:
    world = World()
    engine = FaultyEngine(world.engine)
    parts = world.orchestrator(engine)
    await world.limit(fleet=1)
    await parts.admission.turn(hints(projects=await submitted(world, 3)))
    await world.finish(run_of("prj_0001"))
    await parts.admission.turn(hints(runs=[run_of("prj_0001")]))
    await parts.boards.turn()
    await parts.admission.turn(hints(everything=True))
    engine.tables.calls.clear()
    await parts.boards.turn()
    assert len(engine.tables.calls) <= 1


async def test_boards_show_how_much_is_in_use_and_how_long_runs_took_even_after_a_restart() -> None:
    world = World()
    first = world.orchestrator()
    await world.limit(fleet=3)
    projects = await submitted(world, 4)
    await first.admission.turn(hints(projects=projects))
    await first.boards.turn()
    for seconds, project in ((60, projects[0]), (90, projects[1])):
        await world.claim(run_of(project))
        world.clock.elapsed += seconds
        await world.finish(run_of(project))
        await first.admission.turn(hints(runs=[run_of(project)]))
        await first.admission.turn(hints(runs=[run_of(project)]))
    await first.boards.turn()
    fleet, build, board = await world.engine.tables.get(
        [in_use_key("fleet"), in_use_key("workflow#build"), board_key("acme")]
    )
    assert fleet is not None
    assert build is not None
    assert board is not None
    assert (fleet["held"], build["held"], build["durations"]) == (2, 2, [60_000, 90_000])
    assert sorted(board["holders"]) == [[run_of(project), "build"] for project in projects[2:]]

    second = world.orchestrator()
    await second.admission.turn(hints())
    await world.claim(run_of(projects[2]))
    world.clock.elapsed += 30
    await world.finish(run_of(projects[2]))
    await second.admission.turn(hints(runs=[run_of(projects[2])]))
    await second.boards.turn()
    (build,) = await world.engine.tables.get([in_use_key("workflow#build")])
    assert build is not None
    assert (build["held"], build["durations"]) == (1, [60_000, 90_000, 30_000])


async def test_what_several_orchestrators_have_measured_stands_on_the_board_together() -> None:
    """Each keeps its own gates, and draws what it saw the end of."""
    world = World()
    engine = FaultyEngine(world.engine)
    one, two = world.orchestrator(engine), world.orchestrator()
    measured: list[int] = []

    async def board() -> Item:
        (item,) = await world.engine.tables.get([in_use_key("workflow#build")])
        assert item is not None
        return item

    async def ran(parts: Parts, seconds: int) -> None:
        project = await world.submit(len(measured) + 1)
        await parts.admission.turn(hints(projects=[project], everything=True))
        await parts.boards.turn()
        await world.claim(run_of(project))
        world.clock.elapsed += seconds
        await world.finish(run_of(project))
        await parts.admission.turn(hints(runs=[run_of(project)], everything=True))
        measured.append(seconds * 1000)

    for parts, seconds in ((one, 600), (two, 60), (one, 500), (one, 400), (two, 50), (two, 40), (one, 300)):
        await ran(parts, seconds)
        await parts.boards.turn()
        assert (await board())["durations"] == measured
    await ran(one, 200)
    one.admission.shards.changes.tenants.clear()
    engine.tables.lose_response.append("write")
    with pytest.raises(Exception, match="lost"):
        await one.boards.turn()
    assert (await board())["durations"] == measured
    await ran(one, 100)
    await one.boards.turn()
    assert (await board())["durations"] == measured, "an answer that was lost counts nothing twice"
    for _ in range(DURATIONS_MAX):
        await ran(two, 10)
    await two.boards.turn()
    await ran(one, 20)
    await one.boards.turn()
    assert (await board())["durations"] == measured[-DURATIONS_MAX:]


def test_the_sample_of_durations_is_bounded_and_leaves_out_what_was_interrupted() -> None:
    durations = Durations()

    def run(state: str, attempt: int, took: int) -> RunItem:
        facts = {"2": {"t": "RunQueued", "at": 900, "d": {}}}
        run = {
            "state": state,
            "attempt": attempt,
            "workflow": "w",
            "started_at": 1_000,
            "at": 1_000 + took,
            "facts": facts,
        }
        return as_run({**run, "queued_at": 900 if attempt == 1 else 950})

    durations.note([None, run("running", 1, 1), run("succeeded", 2, 2), run("failed", 1, 3), run("succeeded", 1, 4)])
    assert durations.of("w") == [3, 4]
    durations.note([run("succeeded", 1, number) for number in range(DURATIONS_MAX)])
    assert durations.of("w") == list(range(DURATIONS_MAX))
    assert durations.of("unheard of") == []


async def test_the_fleets_board_says_how_many_tenants_that_hold_nothing_wait_as_soon_as_they_do() -> None:
    world = World()
    parts = world.orchestrator()
    await world.limit(fleet=1)

    async def hungry() -> int:
        await parts.boards.turn()
        (item,) = await world.engine.tables.get([in_use_key(FLEET)])
        assert item is not None
        return int(item.get("hungry", 0))

    await parts.admission.turn(hints(projects=await submitted(world, 2)))
    assert await hungry() == 0, "who holds the slot waits, too"
    other = await world.submit(3, tenant="other")
    await parts.admission.turn(hints(projects=[other]))
    assert await hungry() == 1
    third = await world.submit(4, tenant="third")
    await world.orchestrator().admission.turn(hints(projects=[third]))
    await parts.admission.turn(hints(everything=True))
    assert await hungry() == 2
    await world.finish("run_0001")
    await parts.admission.turn(hints(runs=["run_0001"]))
    assert await hungry() == 2, "one holds the slot now, and the first tenant holds none"


async def test_a_board_counts_whom_more_than_its_limit_keeps_out() -> None:
    world = World()
    parts = world.orchestrator()
    await world.limit(workflow_closed=0)
    projects = [await world.submit(1, workflow="closed"), await world.submit(2)]
    await parts.admission.turn(hints(projects=projects))
    await parts.boards.turn()
    (board,) = await world.engine.tables.get([board_key("acme")])
    assert board is not None
    assert (board["waiting"], board["passed_over"]) == (1, 1)


async def test_boards_say_whom_limits_let_through_now() -> None:
    world = World()
    parts = world.orchestrator()
    await world.limit(fleet=1, workflow_shut=0)
    await parts.admission.turn(hints(projects=await submitted(world, 2)))
    others = [await world.submit(number, tenant=f"t{number}", workflow="shut") for number in (3, 4)]
    await parts.admission.turn(hints(projects=others))
    assert await told(world, parts) == (0, 1)
    await world.change(workflow_scope("shut"), Stated(None))
    await parts.admission.turn(Hints(limits=True))
    assert await told(world, parts) == (HUNGRY_MAX, 0)


async def test_a_look_at_everything_tells_whom_the_runs_of_other_tenants_keep_out() -> None:
    world = World()
    parts = world.orchestrator()
    await world.limit(fleet=2, workflow_build=1)
    await parts.admission.turn(hints(projects=[await world.submit(number, workflow="other") for number in (1, 2)]))
    second = await world.submit(4, tenant="t3")
    await parts.admission.turn(hints(projects=[await world.submit(3, tenant="first"), second]))
    assert await told(world, parts) == (HUNGRY_MAX, 0)
    await world.finish("run_0001")
    await parts.admission.turn(hints(runs=["run_0001"]))
    await parts.admission.turn(hints(everything=True))
    assert await told(world, parts) == (0, 1)


async def test_a_look_at_everything_that_finds_nothing_new_draws_no_board_of_several_shards() -> None:
    world = World()
    parts = world.orchestrator()
    await world.limit(fleet=50, workflow_build=1, shards=2)
    projects = [await world.submit(number, tenant=f"t{number}") for number in range(12)]
    while not (await parts.admission.turn(found := hints(projects=projects))).finished:
        projects = list(found.projects)
    for _ in range(3):
        await parts.boards.turn()
        await parts.admission.turn(hints(everything=True))
    changes = parts.admission.shards.changes
    holder = {token.tenant for token in parts.admission.shards.held.values()}
    assert (changes.tenants - holder, changes.scopes) == (set(), set())


async def test_more_boards_than_are_remembered_are_drawn_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durations_module, "WORKFLOWS_MAX", 2)
    monkeypatch.setattr(boards_module, "BATCH_ITEMS_MAX", 2)
    world = World()
    parts = world.orchestrator()
    await world.limit(fleet=5)
    await parts.admission.turn(hints(projects=[await world.submit(n, workflow=f"w{n}") for n in range(5)]))
    await parts.boards.turn()
    engine = FaultyEngine(world.engine)
    second = world.orchestrator(engine)
    await second.admission.turn(hints(everything=True))
    engine.tables.calls.clear()
    await second.boards.turn()
    assert not second.admission.shards.changes.scopes
    assert engine.tables.calls.count("query") == 5


async def told(world: World, parts: Parts) -> tuple[int, int]:
    """The fleet's board: how many hungry tenants; t3's: how many of its runs are passed over."""
    await parts.boards.turn()
    fleet, tenant = await world.engine.tables.get([in_use_key(FLEET), board_key("t3")])
    assert fleet is not None
    assert tenant is not None
    return fleet.get("hungry", 0), tenant.get("passed_over", 0)
