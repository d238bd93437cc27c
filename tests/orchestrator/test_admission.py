"""The admission: what is new is enqueued, what has ended is released, and never more than the limits allow."""

from __future__ import annotations

import logging

import pytest
from tests.orchestrator.faults import FaultyEngine
from tests.orchestrator.world import World, hints, run_of

from penstock_backbone.errors import Fatal
from penstock_backbone.records.limits import (
    FLEET_LIMIT_DEFAULT,
    Stated,
    limit_key,
)
from penstock_backbone.records.projects import project_key
from penstock_backbone.records.tokens import PEND_MAX, head_key
from penstock_backbone.vocabulary import Delete, Put, Update
from penstock_orchestrator.handlers.admission import ENQUEUED_MAX

pytestmark = pytest.mark.anyio


async def submitted(world: World, count: int) -> list[str]:
    return [await world.submit(number) for number in range(1, count + 1)]


async def test_a_new_project_becomes_a_run_with_a_token_and_is_let_in() -> None:
    world = World()
    project = await world.submit(1)
    await world.orchestrator().admission.turn(hints(projects=[project]))
    run = await world.run(run_of(project))
    assert (run["state"], run["fence"], run["seq"]) == ("queued", 0, 2)
    token = world.tokens()[run_of(project)]
    assert (token["st"], token["f"], token["sk"]) == ("held", 1, run["token"])


async def test_on_an_idle_machine_a_project_is_let_in_after_three_round_trips_and_an_ended_run_followed_after_two() -> (
    None
):
    world = World()
    engine = FaultyEngine(world.engine)
    admission = world.orchestrator(engine).admission
    await world.limit(fleet=1)
    await admission.turn(hints())
    one, two = await submitted(world, 2)
    engine.tables.calls.clear()
    await admission.turn(hints(projects=[one]))
    assert engine.tables.calls == ["get", "transact", "write_after"]
    await admission.turn(hints(projects=[two]))
    await world.finish(run_of(one))
    engine.tables.calls.clear()
    await admission.turn(hints(runs=[run_of(one)]))
    assert engine.tables.calls == ["get", "write_after"]
    assert world.held() == {run_of(two)}


async def test_ten_projects_with_a_limit_of_five_never_hold_more_than_five_tokens() -> None:
    world = World()
    await world.limit(fleet=5)
    admission = world.orchestrator().admission
    projects = await submitted(world, 10)
    await admission.turn(hints(projects=projects))
    for _ in range(10):
        ended = sorted(world.held())[:2]
        for run in ended:
            await world.finish(run, fence=1)
        await admission.turn(hints(runs=ended))
    assert world.most_held() == 5
    assert world.granted() == [run_of(project) for project in projects]
    assert world.tokens() == {}


async def test_without_a_limit_the_fleet_has_its_default() -> None:
    world = World()
    await world.orchestrator().admission.turn(hints(projects=await submitted(world, FLEET_LIMIT_DEFAULT + 3)))
    assert len(world.held()) == FLEET_LIMIT_DEFAULT


async def test_repeated_hints_change_nothing() -> None:
    world = World()
    admission = world.orchestrator().admission
    project = await world.submit(1)
    for _ in range(3):
        await admission.turn(hints(projects=[project]))
    await world.finish(run_of(project))
    for _ in range(3):
        await admission.turn(hints(projects=[project], runs=[run_of(project)]))
    assert world.granted() == [run_of(project)]
    assert world.tokens() == {}
    assert (await world.run(run_of(project)))["state"] == "succeeded"


async def test_a_late_copy_of_a_creation_does_not_bring_a_finished_run_back() -> None:
    world = World()
    project = await world.submit(1)
    await world.orchestrator().admission.turn(hints(projects=[project]))
    await world.finish(run_of(project))
    await world.orchestrator().admission.turn(hints(runs=[run_of(project)]))
    await world.orchestrator().admission.turn(hints(projects=[project]))
    assert world.tokens() == {}


async def test_hints_of_what_does_not_exist_are_harmless() -> None:
    world = World()
    turn = await world.orchestrator().admission.turn(hints(projects=["prj_x"], runs=["run_x"]))
    assert turn.finished
    assert not turn.damaged


async def test_a_hint_is_no_order_so_a_run_that_still_executes_keeps_its_token() -> None:
    world = World()
    admission = world.orchestrator().admission
    project = await world.submit(1)
    await admission.turn(hints(projects=[project]))
    await world.claim(run_of(project))
    await admission.turn(hints(runs=[run_of(project)]))
    assert world.held() == {run_of(project)}


async def test_waiting_runs_are_taken_in_the_order_in_which_they_were_accepted_not_hinted() -> None:
    world = World()
    await world.limit(fleet=1)
    projects = await submitted(world, 4)
    admission = world.orchestrator().admission
    await admission.turn(hints(projects=projects[3:]))
    await admission.turn(hints(projects=projects[:3]))
    for _ in range(4):
        (run,) = world.held()
        await world.finish(run)
        await admission.turn(hints(runs=[run]))
    assert world.granted() == [run_of(projects[place]) for place in (3, 0, 1, 2)]


async def test_one_turn_decides_more_than_one_redo_list_can_hold() -> None:
    world = World()
    await world.limit(fleet=0)
    projects = await submitted(world, 2 * PEND_MAX + 7)
    admission = world.orchestrator().admission
    new = hints(projects=projects)
    while not (await admission.turn(new)).finished:
        pass
    await world.limit(fleet=500)
    await admission.turn(hints(limits=True))
    assert len(world.held()) == len(projects)
    for run in world.held():
        await world.finish(run)
    await admission.turn(hints(runs=[run_of(project) for project in projects]))
    assert world.tokens() == {}


async def test_a_flood_of_new_projects_keeps_no_freed_slot_waiting_until_all_of_it_is_enqueued() -> None:
    world = World()
    await world.limit(fleet=1)
    admission = world.orchestrator().admission
    first, *flood = await submitted(world, 3 * ENQUEUED_MAX)
    await admission.turn(hints(projects=[first]))
    await world.finish(run_of(first))
    new = hints(projects=flood, runs=[run_of(first)])
    assert not (await admission.turn(new)).finished
    assert world.held() == {run_of(flood[0])}, "the slot is given away already"
    assert len(world.tokens()) == ENQUEUED_MAX
    assert not new.runs, "what is done is not done again"
    turns = 1
    while not (await admission.turn(new)).finished:
        turns += 1
    assert turns == 2
    assert len(world.tokens()) == len(flood)
    assert not new


# --- limits ----------------------------------------------------------------------------------------------------


async def test_a_raised_limit_lets_more_in_and_a_lowered_one_drains() -> None:
    world = World()
    await world.limit(fleet=2)
    admission = world.orchestrator().admission
    await admission.turn(hints(projects=await submitted(world, 8)))
    await world.limit(fleet=4)
    await admission.turn(hints(limits=True))
    assert len(world.held()) == 4
    await world.limit(fleet=1)
    await admission.turn(hints(limits=True))
    ended = sorted(world.held())
    for left, run in zip((3, 2, 1, 1), ended, strict=True):
        await world.finish(run)
        await admission.turn(hints(runs=[run]))
        assert len(world.held()) == left


async def test_limits_of_tenants_and_workflows_hold_together() -> None:
    world = World()
    await world.limit(fleet=10, tenant_acme=3, workflow_slow=2)
    projects = []
    for number in range(1, 13):
        tenant, workflow = ("acme", "beta")[number % 2], ("slow", "quick")[number % 3 == 0]
        projects.append(await world.submit(number, tenant=tenant, workflow=workflow))
    await world.orchestrator().admission.turn(hints(projects=projects))
    held = [token for token in world.tokens().values() if token["st"] == "held"]
    assert sum(token["wf"] == "slow" for token in held) == 2
    assert sum(token["tenant"] == "acme" for token in held) <= 3
    assert len(held) == 6, "two slow ones and all four quick ones"


async def test_a_limit_of_zero_stops_admissions_until_it_is_raised() -> None:
    world = World()
    await world.limit(fleet=0)
    admission = world.orchestrator().admission
    await admission.turn(hints(projects=[await world.submit(1)]))
    assert world.held() == set()
    await world.limit(fleet=1)
    await admission.turn(hints(limits=True))
    assert len(world.held()) == 1


@pytest.mark.parametrize("scope", ["fleet", "tenant#acme", "workflow#build"])
async def test_a_paused_scope_admits_nothing_new_and_lets_what_runs_finish(scope: str) -> None:
    world = World()
    await world.limit(fleet=2)
    admission = world.orchestrator().admission
    await admission.turn(hints(projects=await submitted(world, 4)))
    ran = sorted(world.held())
    paused = Stated(2 if scope == "fleet" else None, paused=True)
    await world.change(scope, paused)
    await world.finish(ran[0])
    await admission.turn(hints(runs=[ran[0]], limits=True))
    assert world.held() == {ran[1]}
    await world.change(scope, paused._replace(paused=False))
    await admission.turn(hints(limits=True))
    assert len(world.held()) == 2


async def test_a_tenant_that_is_paused_does_not_hold_the_others_up() -> None:
    world = World()
    await world.change("tenant#acme", Stated(None, paused=True))
    projects = [await world.submit(1), await world.submit(2, tenant="beta")]
    await world.orchestrator().admission.turn(hints(projects=projects))
    assert world.held() == {run_of(projects[1])}


async def test_a_damaged_limit_stays_at_its_last_good_value_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    await world.limit(fleet=3)
    admission = world.orchestrator().admission
    await admission.turn(hints(projects=await submitted(world, 6)))
    await world.write(Put(limit_key("fleet"), {"limit": "many", "at": 1}))
    with caplog.at_level(logging.WARNING):
        await admission.turn(hints(limits=True))
        await admission.turn(hints(everything=True))
    assert len(world.held()) == 3
    assert len([record for record in caplog.records if "'many'" in record.message]) == 1


# --- damage ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["workflow", "run_id", "tenant", "priority", "created"])
async def test_one_damaged_project_does_not_hold_the_others_up(lost: str) -> None:
    world = World()
    good, bad = await submitted(world, 2)
    await world.write(Update(project_key(bad), {"broken": True}, remove=(lost,)))
    turn = await world.orchestrator().admission.turn(hints(projects=[good, bad]))
    assert turn.damaged == {bad}
    assert world.held() == {run_of(good)}


async def test_a_lost_head_is_not_replaced_while_tokens_are_there() -> None:
    world = World()
    await world.orchestrator().admission.turn(hints(projects=[await world.submit(1)]))
    await world.write(Delete(head_key(0)))
    with pytest.raises(Fatal, match="restore the item HEAD#0 / HEAD"):
        await world.orchestrator().admission.turn(hints())
