"""Told to stop, a runner lets stages reach their next checkpoint, and its runs go on elsewhere at once (fault 68)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from tests.runner.faults import Faults
from tests.runner.rig import Process, Rig, completions, virtual
from tests.runner.stages import Word, in_a_row, stage, workflow
from tests.runner.test_execution import hang

from penstock_backbone.inventory import DISPATCH_QUEUE
from penstock_backbone.records.runs import CANCELLED, QUEUED, RUNNING, SUCCEEDED
from penstock_backbone.records.verbs import ask_to_cancel
from penstock_runner.authoring import StageContext, Workflow


async def ended_after(rig: Rig, process: Process) -> float:
    began = rig.clock.monotonic()
    process.stop.set()
    await process.task
    return rig.clock.monotonic() - began


async def drained_while_it_writes(rig: Rig, flow: Workflow, change: str) -> str:
    """The run, once its runner has ended: it was told to while it waited for the answer to a write with that change."""
    faults = Faults(rig.engine)
    write = faults.tables.write

    async def slowly_answered(writes: Sequence[Any]) -> Any:
        outcomes = await write(writes)
        if any(change in getattr(each, "set", ()) for each in writes):
            process.stop.set()
            await rig.clock.sleep(1)
        return outcomes

    faults.tables.write = slowly_answered  # type: ignore[method-assign]  # one answer comes late
    run_id = await rig.submit(flow)
    process = rig.start(flow, faults=faults)
    await process.task
    return run_id


@virtual
async def test_an_idle_runner_stops_at_once_and_buries_its_session(rig: Rig) -> None:
    process = rig.start(in_a_row(1), session="ses_first")
    await rig.clock.sleep(5)
    assert await ended_after(rig, process) < 0.1
    assert (await rig.session("ses_first"))["st"] == "dead"


@virtual
async def test_a_runner_that_cannot_reach_the_backbone_stops_at_once_too(rig: Rig) -> None:
    process = rig.start(in_a_row(1), faults=Faults(rig.engine, lambda number, name: "lose request"))
    await rig.clock.sleep(5)
    assert await ended_after(rig, process) < 0.1


@virtual
async def test_a_running_stage_reaches_its_checkpoint_and_the_next_begins_elsewhere(rig: Rig) -> None:
    ran: list[str] = []

    async def short(context: StageContext) -> Word:
        ran.append(context.stage)
        await rig.clock.sleep(2)
        return Word()

    three = workflow(stage("a", short), stage("b", short), stage("c", short))
    run_id = await rig.submit(three)
    process = rig.start(three, session="ses_first")
    await rig.until(lambda run: "a" in run["results"], run_id)
    assert await ended_after(rig, process) < 2.1
    assert (await rig.told(run_id))[-2:] == ["StageCompleted b", "RunRequeued"]
    handed_back = await rig.run(run_id)
    assert (handed_back["state"], handed_back["attempt"], "session" in handed_back) == (QUEUED, 0, False)
    await rig.dispatch(run_id, 2)
    rig.start(three)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert ran == ["a", "b", "c"]
    assert completions(await rig.story(run_id)) == ["a", "b", "c"]


@virtual
async def test_a_stage_whose_start_is_told_just_when_the_drain_begins_is_begun_and_told_once(rig: Rig) -> None:
    ran: list[str] = []

    async def short(context: StageContext) -> Word:
        ran.append(context.stage)
        await rig.clock.sleep(2)
        return Word()

    three = workflow(stage("a", short), stage("b", short), stage("c", short))
    run_id = await drained_while_it_writes(rig, three, "results/a")
    assert (await rig.told(run_id))[-3:] == ["StageStarted b", "StageCompleted b", "RunRequeued"]
    await rig.dispatch(run_id, 2)
    rig.start(three)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert ran == ["a", "b", "c"]
    told = await rig.told(run_id)
    assert [told.count(f"StageStarted {name}") for name in "abc"] == [1, 1, 1]


@virtual
async def test_an_attempt_that_is_due_just_when_the_drain_begins_is_told_where_it_begins(rig: Rig) -> None:
    async def fails_once(context: StageContext) -> Word:
        if context.attempt == 1:
            process.stop.set()
            raise ValueError("not yet")
        return Word()

    one = workflow(stage("only", fails_once, backoff_seconds=1))
    run_id = await rig.submit(one)
    process = rig.start(one)
    await process.task
    assert (await rig.told(run_id))[-2:] == ["StageFailed only", "RunRequeued"]


@virtual
async def test_a_stage_that_takes_too_long_is_cut_off(rig: Rig) -> None:
    long = workflow(stage("hang", hang))
    run_id = await rig.submit(long)
    process = rig.start(long, session="ses_first")
    await rig.until(lambda run: run["state"] == RUNNING, run_id)
    assert 5 <= await ended_after(rig, process) < 5.2
    assert (await rig.session("ses_first"))["st"] == "dead"
    handed_back = await rig.run(run_id)
    assert (handed_back["state"], handed_back["attempt"]) == (QUEUED, 0)


@virtual
async def test_a_runner_drains_as_long_as_it_was_told(rig: Rig) -> None:
    long = workflow(stage("hang", hang))
    run_id = await rig.submit(long)
    process = rig.start(long, drain_seconds=100)
    await rig.until(lambda run: run["state"] == RUNNING, run_id)
    assert 100 <= await ended_after(rig, process) < 110


@virtual
async def test_a_run_that_is_handed_back_ten_times_is_not_given_up(rig: Rig) -> None:
    """Each new version of the runners stops the old ones, and that is no failure of the run."""
    ran: list[str] = []

    async def short(context: StageContext) -> Word:
        ran.append(context.stage)
        await rig.clock.sleep(2)
        return Word()

    many = workflow(*(stage(f"s{number}", short) for number in range(12)))
    run_id = await rig.submit(many)
    for fence in range(2, 12):
        process = rig.start(many)
        await rig.until(lambda run: run["state"] == RUNNING, run_id)
        await ended_after(rig, process)
        await rig.dispatch(run_id, fence)
    rig.start(many)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert (await rig.run(run_id))["attempt"] == 1
    assert ran == [f"s{number}" for number in range(12)]


@virtual
async def test_a_second_signal_does_not_wait(rig: Rig) -> None:
    long = workflow(stage("hang", hang))
    run_id = await rig.submit(long)
    process = rig.start(long)
    await rig.until(lambda run: run["state"] == RUNNING, run_id)
    process.hurry.set()
    assert await ended_after(rig, process) < 0.1


@virtual
async def test_nothing_is_claimed_while_draining(rig: Rig) -> None:
    long = workflow(stage("hang", hang))
    first = await rig.submit(long)
    process = rig.start(long, session="ses_first")
    await rig.until(lambda run: run["state"] == RUNNING, first)
    process.stop.set()
    await rig.clock.sleep(1)
    assert (await rig.session("ses_first"))["st"] == "draining"
    second = await rig.submit(long)
    await process.task
    assert (await rig.run(second))["state"] == QUEUED
    assert await rig.waiting_messages() == 1


@virtual
async def test_a_message_that_was_received_before_the_signal_is_given_back_at_once(rig: Rig) -> None:
    faults = Faults(rig.engine)
    get = faults.tables.get

    async def slowly_answered(keys: Sequence[Any]) -> Any:
        items = await get(keys)
        await rig.clock.sleep(1)
        return items

    faults.tables.get = slowly_answered  # type: ignore[method-assign]  # the same port, with a delay
    plain = in_a_row(1)
    process = rig.start(plain, faults=faults)
    await rig.clock.sleep(1)
    run_id = await rig.submit(plain)
    await rig.clock.sleep(0.5)
    assert await ended_after(rig, process) < 1
    assert (await rig.run(run_id))["state"] == QUEUED
    assert len(await rig.engine.queues.receive(DISPATCH_QUEUE, 1, 0)) == 1


@virtual
async def test_a_run_that_is_claimed_just_when_its_runner_is_to_end_is_handed_back_and_no_attempt_counts(
    rig: Rig,
) -> None:
    run_id = await drained_while_it_writes(rig, workflow(stage("only")), "version")
    handed_back = await rig.run(run_id)
    assert (handed_back["state"], handed_back["attempt"]) == (QUEUED, 0)
    assert completions(await rig.story(run_id)) == []


@virtual
async def test_a_run_that_is_being_cancelled_when_its_runner_is_stopped_is_cancelled_all_the_same(rig: Rig) -> None:
    """Seed 90043167: what ended it had been stopped, and handing it back was refused again and again, in a hot loop."""

    async def stubborn(context: StageContext) -> Word:
        with contextlib.suppress(asyncio.CancelledError):
            await rig.clock.sleep(30)
        await rig.clock.sleep(3)
        return Word()

    plain = workflow(stage("only", stubborn))
    run_id = await rig.submit(plain)
    process = rig.start(plain, drain_seconds=0.5)
    await rig.until(lambda run: run["state"] == RUNNING, run_id)
    await rig.clock.sleep(0.5)
    await rig.ask(run_id, lambda run: ask_to_cancel(run, reason="enough", at=run["at"]))
    await rig.clock.sleep(2.1)
    assert await ended_after(rig, process) < 5
    assert (await rig.run(run_id))["state"] == CANCELLED
