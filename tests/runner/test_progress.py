"""A stage says how far it has come, and whoever reads the run sees it soon."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from tests.runner.faults import Faults
from tests.runner.rig import Rig, virtual
from tests.runner.stages import Word, stage, workflow
from tests.runner.test_execution import of_type

from penstock_backbone.records.runs import FAILED, SUCCEEDED
from penstock_runner.authoring import StageContext


def in_a_thread(work: Callable[[], object]) -> None:
    """Until it is done."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@virtual
async def test_progress_stands_in_the_run_while_the_stage_runs_and_then_no_more(rig: Rig) -> None:
    async def long(context: StageContext) -> Word:
        context.progress(0.25, "reading key=AKIAABCDEFGHIJKLMNOP")
        await rig.clock.sleep(5)
        context.progress(None, "writing")
        await rig.clock.sleep(5)
        return Word()

    two = workflow(stage("long", long), stage("after", long))
    run_id = await rig.submit(two)
    rig.start(two)
    await rig.until(lambda run: bool(run.get("progress")), run_id)
    assert (await rig.run(run_id)).get("progress") == {"long": [250, "reading key=[redacted]"]}
    await rig.until(lambda run: run.get("progress") == {"long": [None, "writing"]}, run_id)
    await rig.until(lambda run: "long" in run["results"], run_id)
    assert "long" not in (await rig.run(run_id)).get("progress", {})
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert "progress" not in await rig.run(run_id)
    assert len(await rig.story(run_id)) == 3 + 2 * 2 + 1


@virtual
async def test_a_stage_that_talks_all_the_time_is_written_once_a_second_and_its_newest_word_counts(rig: Rig) -> None:
    async def talks(context: StageContext) -> Word:
        for step in range(1000):
            context.progress(step / 1000, f"step {step}")
            await rig.clock.sleep(0.01)
        return Word()

    one = workflow(stage("talk", talks))
    faults = Faults(rig.engine)
    run_id = await rig.submit(one)
    rig.start(one, faults=faults)
    await rig.until(lambda run: "progress" in run and run["progress"]["talk"][0] > 850, run_id)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert faults.calls.count("write runs") <= 2 + 11


@virtual
async def test_what_is_said_more_often_than_it_is_written_costs_its_runner_next_to_nothing(
    rig: Rig,
) -> None:
    redacted: list[str] = []

    def redact(line: str) -> str:
        redacted.append(line)
        return line

    async def talks(context: StageContext) -> Word:
        for step in range(10_000):
            context.progress(step / 10_000, f"step {step}")
        await rig.clock.sleep(2)
        return Word()

    one = workflow(stage("talk", talks))
    run_id = await rig.submit(one)
    process = rig.start(one)
    world = replace(rig.world(), redact=redact)
    process.runner.claims._world = world
    await rig.until(lambda run: "progress" in run, run_id)
    assert (await rig.run(run_id)).get("progress") == {"talk": [1000, "step 9999"]}
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert redacted == ["step 9999"]


@virtual
async def test_the_newest_word_is_shown_also_when_it_is_said_while_another_is_written(rig: Rig) -> None:
    faults = Faults(rig.engine)
    write = faults.tables.write

    async def slowly(writes: Sequence[Any]) -> Any:
        await rig.clock.sleep(0.5)
        return await write(writes)

    async def talks(context: StageContext) -> Word:
        faults.tables.write = slowly  # type: ignore[method-assign]  # its answers come late
        context.progress(0.1, "first")
        await rig.clock.sleep(0.2)
        context.progress(0.2, "second")
        await rig.clock.sleep(60)
        return Word()

    one = workflow(stage("talk", talks))
    run_id = await rig.submit(one)
    rig.start(one, faults=faults)
    await rig.until(lambda run: run.get("progress") == {"talk": [200, "second"]}, run_id, seconds=5)


@virtual
async def test_progress_whose_answers_are_lost_neither_stops_nor_spoils_the_run(rig: Rig) -> None:
    async def talks(context: StageContext) -> Word:
        for step in range(10):
            context.progress(step / 10)
            await rig.clock.sleep(1.1)
        return Word()

    one = workflow(stage("talk", talks), stage("after"))
    faults = Faults(rig.engine, lambda number, name: "lose response" if name == "write runs" and number % 2 else "none")
    run_id = await rig.submit(one)
    rig.start(one, faults=faults)
    await rig.until_ended(run_id, state=SUCCEEDED)


@virtual
async def test_a_thread_of_the_stage_may_say_how_far_it_has_come(rig: Rig) -> None:
    async def talks(context: StageContext) -> Word:
        in_a_thread(partial(context.progress, 0.5, "in a thread"))
        await rig.clock.sleep(5)
        return Word()

    one = workflow(stage("talk", talks))
    run_id = await rig.submit(one)
    rig.start(one)
    await rig.until(lambda run: run.get("progress") == {"talk": [500, "in a thread"]}, run_id, seconds=5)


@virtual
async def test_a_thread_with_an_event_loop_of_its_own_may_say_it_and_the_run_is_written_on_the_runners(
    rig: Rig,
) -> None:
    faults = Faults(rig.engine)
    write = faults.tables.write
    writers: set[int] = set()

    async def write_here(writes: Sequence[Any]) -> Any:
        writers.add(threading.get_ident())
        return await write(writes)

    async def talks(context: StageContext) -> Word:
        async def crawls() -> None:
            context.progress(0.5, "in a loop")
            await asyncio.sleep(0)  # noqa: TID251  # one round of the thread's loop, no time

        in_a_thread(lambda: asyncio.run(crawls()))
        await rig.clock.sleep(5)
        return Word()

    one = workflow(stage("talk", talks))
    run_id = await rig.submit(one)
    faults.tables.write = write_here  # type: ignore[method-assign]  # says which thread writes
    rig.start(one, faults=faults)
    await rig.until(lambda run: run.get("progress") == {"talk": [500, "in a loop"]}, run_id, seconds=5)
    assert writers == {threading.get_ident()}


@virtual
async def test_what_a_thread_says_while_its_last_word_is_prepared_is_shown_too(rig: Rig) -> None:
    contexts: list[StageContext] = []

    def redact(line: str) -> str:
        if line == "first":
            in_a_thread(partial(contexts[0].progress, 0.2, "second"))
        return line

    async def talks(context: StageContext) -> Word:
        contexts.append(context)
        context.progress(0.1, "first")
        await rig.clock.sleep(60)
        return Word()

    one = workflow(stage("talk", talks))
    run_id = await rig.submit(one)
    process = rig.start(one)
    process.runner.claims._world = replace(rig.world(), redact=redact)
    await rig.until(lambda run: run.get("progress") == {"talk": [200, "second"]}, run_id, seconds=5)


@virtual
async def test_a_fraction_that_is_none_is_a_mistake_of_the_author(rig: Rig) -> None:
    async def wrong(context: StageContext) -> Word:
        context.progress(50, "per cent")
        return Word()

    one = workflow(stage("wrong", wrong, attempts_max=1))
    run_id = await rig.submit(one)
    rig.start(one)
    await rig.until_ended(run_id, state=FAILED)
    (ended,) = of_type(await rig.story(run_id), "RunFailed")
    assert ended["message"] == "progress is a fraction from 0 to 1, not 50"
