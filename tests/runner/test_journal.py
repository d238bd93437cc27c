"""Commits of one run are serial; what waits travels together; and whoever else may write is respected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.runner.faults import Faults
from tests.runner.rig import Rig, completions, virtual
from tests.runner.stages import Word, in_a_row, stage, workflow
from tests.runner.test_execution import of_type

from penstock_backbone.errors import Fatal, TooLarge
from penstock_backbone.records.runs import FAILED, QUEUED, RUNNING, SUCCEEDED, commit_facts, fact
from penstock_backbone.vocabulary import Written
from penstock_runner.authoring import FinalError, StageContext
from penstock_runner.handlers.journal import STORY_BYTES_MAX


class Slow(Faults):
    """Each write of a run takes a second, or what is said."""

    def __init__(self, rig: Rig, seconds: float = 1.0) -> None:
        super().__init__(rig.engine)
        write = self.tables.write

        async def slow(writes: Sequence[Any]) -> Any:
            if writes[0].key.table == "runs":
                await rig.clock.sleep(seconds)
            return await write(writes)

        self.tables.write = slow  # type: ignore[method-assign]  # the same port, with a delay


@virtual
async def test_results_that_wait_for_a_commit_travel_together_in_the_next(rig: Rig) -> None:
    faults = Slow(rig)
    five = workflow(*(stage(f"s{number}", needs=()) for number in range(5)), stage("join", needs=("s0", "s4")))
    run_id = await rig.submit(five)
    rig.start(five, faults=faults)
    await rig.until_ended(run_id, state=SUCCEEDED)
    claim, first, the_others, join = 1, 1, 1, 1
    assert faults.calls.count("write runs") == claim + first + the_others + join
    assert completions(await rig.story(run_id)) == ["s0", "s1", "s2", "s3", "s4", "join"]


@virtual
async def test_when_two_stages_fail_at_once_the_run_ends_once(rig: Rig) -> None:
    async def fails(context: StageContext) -> Word:
        raise FinalError(f"{context.stage} cannot be done")

    both = workflow(stage("a", fails, needs=()), stage("b", fails, needs=()), stage("c", needs=()))
    run_id = await rig.submit(both)
    process = rig.start(both, faults=Slow(rig))
    await rig.until_ended(run_id, state=FAILED)
    assert [entry["stage"] for entry in of_type(await rig.story(run_id), "RunFailed")] == ["a"]
    await rig.clock.sleep(3)
    assert not process.runner.claims.executions


@virtual
async def test_a_fact_that_somebody_else_added_under_the_same_fence_is_kept_and_ours_follow(rig: Rig) -> None:
    async def work(context: StageContext) -> Word:
        await rig.clock.sleep(5)
        return Word()

    two = workflow(stage("a", work), stage("b"))
    run_id = await rig.submit(two)
    rig.start(two)
    await rig.until(lambda run: run["state"] == RUNNING, run_id)
    run = await rig.run(run_id)
    words = [fact("RunRequeued", 7, reason="not really")]
    write = commit_facts(run_id, fence=1, seq=run["seq"], facts=words, results={}, at=7)
    assert await rig.engine.tables.write([write]) == [Written()]
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert (await rig.told(run_id))[3:] == [
        "StageStarted a", "RunRequeued", "StageCompleted a", "StageStarted b", "StageCompleted b", "RunSucceeded",
    ]  # fmt: skip


@virtual
async def test_what_others_have_added_counts_for_the_length_of_the_story(rig: Rig) -> None:
    async def work(context: StageContext) -> Word:
        await rig.clock.sleep(5)
        return Word()

    three = workflow(stage("a", work), stage("b"), stage("c"))
    run_id = await rig.submit(three)
    rig.start(three)
    await rig.until(lambda run: run["state"] == RUNNING, run_id)
    run = await rig.run(run_id)
    words = [fact("RunPauseRequested", 7, reason="x" * STORY_BYTES_MAX)]
    write = commit_facts(run_id, fence=1, seq=run["seq"], facts=words, results={}, at=7)
    assert await rig.engine.tables.write([write]) == [Written()]
    await rig.until_ended(run_id, state=FAILED)
    assert of_type(await rig.story(run_id), "RunFailed")[0]["error"] == "StoryTooLong"


def refuse(rig: Rig, error: Exception, after: int, times: int) -> Faults:
    """The writes of runs after number `after` fail in a way that repeating cannot help."""
    faults = Faults(rig.engine)
    write = faults.tables.write
    count = 0

    async def refusing(writes: Sequence[Any]) -> Any:
        nonlocal count
        if writes[0].key.table == "runs":
            count += 1
            if after < count <= after + times:
                raise error
        return await write(writes)

    faults.tables.write = refusing  # type: ignore[method-assign]  # the same port, failing
    return faults


@virtual
async def test_a_checkpoint_that_can_never_be_written_fails_the_run(rig: Rig) -> None:
    three = in_a_row(3)
    run_id = await rig.submit(three)
    process = rig.start(three, faults=refuse(rig, TooLarge("the item would have 500000 bytes"), after=2, times=1))
    await rig.until_ended(run_id, state=FAILED)
    (ended,) = of_type(await rig.story(run_id), "RunFailed")
    assert ended["error"] == "TooLarge"
    assert ended["message"] == "The runner could not go on with this run: the item would have 500000 bytes"
    assert not process.runner.claims.executions


@virtual
async def test_a_run_that_cannot_even_be_ended_is_given_up_with_its_session_so_that_others_may_try(rig: Rig) -> None:
    three = in_a_row(3)
    run_id = await rig.submit(three)
    process = rig.start(three, session="ses_first", faults=refuse(rig, Fatal("no rights"), after=2, times=2))
    await rig.clock.sleep(5)
    assert process.session != "ses_first"
    assert (await rig.session("ses_first"))["st"] == "dead"
    await rig.requeue(run_id, "ses_first")
    await rig.until_ended(run_id, state=SUCCEEDED)


@pytest.mark.parametrize("error", [RuntimeError("a bug of ours")])
def test_a_bug_in_the_runner_fails_the_run_instead_of_leaving_it_behind(error: Exception) -> None:
    bug(error)


@virtual
async def bug(rig: Rig, error: Exception) -> None:
    three = in_a_row(3)
    run_id = await rig.submit(three)
    rig.start(three, faults=refuse(rig, error, after=2, times=1))
    await rig.until_ended(run_id, state=FAILED)
    assert of_type(await rig.story(run_id), "RunFailed")[0]["error"] == "RuntimeError"


@virtual
async def test_what_waited_to_be_written_when_its_runner_was_stopped_is_handed_back_with_its_result(rig: Rig) -> None:
    three = workflow(*(stage(f"s{number}", needs=()) for number in range(3)), stage("join", needs=("s0", "s2")))
    run_id = await rig.submit(three)
    process = rig.start(three, faults=Slow(rig), drain_seconds=0.2)
    await rig.until(lambda run: run["state"] == RUNNING, run_id)
    await rig.clock.sleep(0.5)
    process.stop.set()
    await rig.until(lambda run: run["state"] == QUEUED, run_id)
    told = completions(await rig.story(run_id))
    assert set(told) == set((await rig.run(run_id))["results"])
    assert told
    await rig.dispatch(run_id, 2)
    rig.start(three)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert sorted(completions(await rig.story(run_id))) == ["join", "s0", "s1", "s2"]
