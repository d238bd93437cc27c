"""Runs that have lost runner after runner are begun one at a time: whichever takes its process down takes no other suspect
with it."""

from __future__ import annotations

import asyncio

from tests.runner.rig import Rig, virtual
from tests.runner.stages import Word, stage, workflow

from penstock_backbone.records import runs, sessions
from penstock_backbone.records.runs import FAILED, QUEUED, RUNNING, SUCCEEDED, TERMINAL
from penstock_orchestrator.handlers.sweep import ATTEMPTS_MAX
from penstock_runner.authoring import StageContext, Workflow
from penstock_runner.domain.dispatch import SUSPECT_LOSSES


class Fatal:
    """An async stage that takes its runner's process down, each time."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.killed = asyncio.Event()

    async def __call__(self, context: StageContext) -> Word:
        await self._rig.clock.sleep(1)
        self.killed.set()
        await asyncio.Event().wait()
        return Word()


def works(rig: Rig, seconds: float) -> Workflow:
    async def work(context: StageContext) -> Word:
        await rig.clock.sleep(seconds)
        return Word()

    return workflow(stage("only", work), name="innocent")


async def lose(rig: Rig, session: str, run_ids: list[str]) -> None:
    """What the orchestrator does once a runner is dead."""
    await rig.engine.tables.write([sessions.bury_session(session)])
    for run_id in run_ids:
        run = await rig.run(run_id)
        if run["state"] == RUNNING and run["attempt"] >= ATTEMPTS_MAX:
            await rig.engine.tables.write([runs.give_up(run, message="too often", at=1)])
        elif run["state"] not in TERMINAL:
            await rig.requeue(run_id, session)


async def lost_so_often(rig: Rig, flow: Workflow, run_ids: list[str], losses: int) -> None:
    for _ in range(losses):
        process = rig.start(flow)
        for run_id in run_ids:
            await rig.until(lambda run: run["state"] == RUNNING, run_id)
        process.kill()
        await lose(rig, process.session, run_ids)


@virtual
async def test_the_neighbours_of_runs_that_take_their_runner_down_succeed(rig: Rig) -> None:
    kills = Fatal(rig)
    fatal, innocent = workflow(stage("kill", kills), name="fatal"), works(rig, 3)
    guilty = [await rig.submit(fatal) for _ in range(3)]
    neighbours = [await rig.submit(innocent) for _ in range(4)]
    for _ in range(len(guilty) * ATTEMPTS_MAX):
        process = rig.start(fatal, innocent)
        await kills.killed.wait()
        kills.killed.clear()
        process.kill()
        await lose(rig, process.session, guilty + neighbours)
        if all([(await rig.run(run_id))["state"] in TERMINAL for run_id in guilty]):
            break
    rig.start(fatal, innocent)
    await rig.until_ended(*guilty, state=FAILED)
    await rig.until_ended(*neighbours, state=SUCCEEDED)
    assert [(await rig.run(run_id))["attempt"] for run_id in guilty] == [ATTEMPTS_MAX] * 3
    assert max([(await rig.run(run_id))["attempt"] for run_id in neighbours]) == SUSPECT_LOSSES + 1


@virtual
async def test_runs_that_have_lost_fewer_runners_are_begun_side_by_side(rig: Rig) -> None:
    innocent = works(rig, 100)
    run_ids = [await rig.submit(innocent) for _ in range(3)]
    await lost_so_often(rig, innocent, run_ids, SUSPECT_LOSSES - 1)
    rig.start(innocent)
    began = rig.clock.monotonic()
    await rig.until_ended(*run_ids, state=SUCCEEDED)
    assert rig.clock.monotonic() - began < 101


@virtual
async def test_a_suspect_keeps_no_other_run_from_being_begun_beside_it(rig: Rig) -> None:
    innocent = works(rig, 100)
    suspects = [await rig.submit(innocent) for _ in range(2)]
    await lost_so_often(rig, innocent, suspects, SUSPECT_LOSSES)
    others = [await rig.submit(innocent) for _ in range(3)]
    rig.start(innocent)
    await rig.clock.sleep(1)
    assert [(await rig.run(run_id))["state"] for run_id in others] == [RUNNING] * 3
    assert sorted([(await rig.run(run_id))["state"] for run_id in suspects]) == [QUEUED, RUNNING]
    rig.start(innocent)
    for run_id in suspects:
        await rig.until(lambda run: run["state"] == RUNNING, run_id, seconds=10)


@virtual
async def test_a_suspect_that_has_ended_makes_room_for_the_next_which_nobody_need_dispatch_again(rig: Rig) -> None:
    innocent = works(rig, 5)
    suspects = [await rig.submit(innocent) for _ in range(2)]
    await lost_so_often(rig, innocent, suspects, SUSPECT_LOSSES)
    rig.start(innocent)
    began = rig.clock.monotonic()
    await rig.until_ended(*suspects, state=SUCCEEDED)
    assert 10 <= rig.clock.monotonic() - began < 15
