"""A workflow's on_failure is told once the run cannot succeed any more, and at least once, whatever happens meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import BaseModel
from tests.runner.rig import Rig, virtual
from tests.runner.stages import Word, says, stage, workflow
from tests.runner.test_execution import hang, of_type
from tests.runner.test_plan import problem_of

from penstock_backbone.records import runs, verbs
from penstock_backbone.records.runs import FAILED, RUNNER_LOST, RUNNING, SUCCEEDED, TIMED_OUT, WAITING
from penstock_backbone.records.sessions import bury_session
from penstock_runner.authoring import FailureHook, FinalError, RunFailure, Stage, StageContext, Workflow


async def hopeless(context: StageContext) -> Word:
    raise FinalError("it cannot be done")


def with_hook(hook: FailureHook, *stages: Stage) -> Workflow:
    return replace(workflow(*stages), on_failure=hook)


@virtual
async def test_the_hook_knows_why_and_can_read_what_is_finished(rig: Rig) -> None:
    told: list[tuple[str, str, RunFailure]] = []

    async def tell(context: StageContext, failure: RunFailure) -> None:
        assert (await rig.run(context.run_id))["state"] == RUNNING
        told.append((context.idempotency_key, context.output_of("first", Word).text, failure))

    failing = with_hook(tell, stage("first", says("hello")), stage("second", hopeless))
    run_id = await rig.submit(failing)
    rig.start(failing)
    await rig.until_ended(run_id, state=FAILED)
    failure = RunFailure("second", "FinalError", "it cannot be done")
    assert told == [(f"{run_id}:on_failure", "hello", failure)]
    assert (await rig.told(run_id))[-2:] == ["StageFailed second", "RunFailed second"]


@virtual
async def test_nobody_is_told_when_all_goes_well(rig: Rig) -> None:
    async def tell(context: StageContext, failure: RunFailure) -> None:
        raise AssertionError("it did not fail")

    fine = with_hook(tell, stage("only"))
    run_id = await rig.submit(fine)
    rig.start(fine)
    await rig.until_ended(run_id, state=SUCCEEDED)


@virtual
async def test_when_the_runner_is_lost_the_hook_is_told_again_and_no_stage_runs_again(rig: Rig) -> None:
    told: list[str] = []
    ran: list[str] = []

    async def fails(context: StageContext) -> Word:
        ran.append(context.stage)
        raise FinalError("it cannot be done")

    async def tell(context: StageContext, failure: RunFailure) -> None:
        told.append(failure.message)
        if len(told) == 1:
            await rig.clock.sleep(30)

    failing = with_hook(tell, stage("only", fails), stage("after"))
    run_id = await rig.submit(failing)
    process = rig.start(failing)
    await rig.until(lambda run: bool(told), run_id)
    process.kill()
    await rig.requeue(run_id, process.session)
    rig.start(failing)
    await rig.until_ended(run_id, state=FAILED)
    assert ran == ["only"]
    assert told == ["it cannot be done"] * 2
    assert (await rig.told(run_id))[-4:] == ["RunRequeued", "RunAdmitted", "RunStarted", "RunFailed only"]


@virtual
async def test_a_hook_that_raises_is_called_three_times_and_the_run_fails_for_its_own_reason(rig: Rig) -> None:
    calls: list[int] = []

    async def broken(context: StageContext, failure: RunFailure) -> None:
        calls.append(context.attempt)
        raise ConnectionError("nobody answers")

    failing = with_hook(broken, stage("only", hopeless))
    run_id = await rig.submit(failing)
    rig.start(failing)
    await rig.until_ended(run_id, state=FAILED)
    assert calls == [1, 2, 3]
    (ended,) = of_type(await rig.story(run_id), "RunFailed")
    assert ended["message"] == "it cannot be done"


@virtual
async def test_a_hook_that_hangs_is_ended_and_stages_beside_it_have_stopped_before(rig: Rig) -> None:
    async def tell(context: StageContext, failure: RunFailure) -> None:
        await hang(context)

    failing = with_hook(tell, stage("patient", hang, needs=()), stage("fails", hopeless, needs=()))
    run_id = await rig.submit(failing)
    process = rig.start(failing)
    began = rig.clock.monotonic()
    await rig.until_ended(run_id, state=FAILED)
    await rig.clock.sleep(0.1)
    assert 3 * 60 < rig.clock.monotonic() - began < 3 * 60 + 10
    assert not process.runner.claims.executions


@virtual
async def test_a_hook_is_not_stopped_at_its_checkpoints_when_its_runner_drains(rig: Rig) -> None:
    told: list[str] = []

    async def tell(context: StageContext, failure: RunFailure) -> None:
        told.append("begun")
        await rig.clock.sleep(2)
        await context.checkpoint()
        told.append("done")

    failing = with_hook(tell, stage("only", hopeless))
    run_id = await rig.submit(failing)
    process = rig.start(failing)
    await rig.until(lambda run: bool(told), run_id)
    process.stop.set()
    await rig.until_ended(run_id, state=FAILED)
    assert told == ["begun", "done"]


@virtual
async def test_a_hook_that_waits_for_somebody_has_failed(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    async def tell(context: StageContext, failure: RunFailure) -> None:
        await context.approve("May it fail?")

    failing = with_hook(tell, stage("only", hopeless))
    run_id = await rig.submit(failing)
    rig.start(failing)
    await rig.until_ended(run_id, state=FAILED)
    assert "its on_failure failed, too: it waits, and nobody wakes it" in caplog.text


WHY = "It was begun 8 times, and each time its runner was lost."


async def given_up(rig: Rig, run_id: str, session: str) -> None:
    """As the sweep does it when the runner was lost once too often."""
    run = await rig.run(run_id)
    await rig.engine.tables.write(
        [bury_session(session), runs.leave_to_hook(run, given_up=[8, WHY], reason="too often", at=run["at"])]
    )
    await rig.dispatch(run_id, run["fence"] + 1)


@virtual
async def test_the_hook_of_a_run_that_was_given_up_is_told_and_no_stage_runs_again(rig: Rig) -> None:
    ran: list[str] = []
    told: list[tuple[str, str, RunFailure]] = []

    async def takes_its_runner_down(context: StageContext) -> Word:
        ran.append(context.stage)
        await rig.clock.sleep(3600)
        return Word()

    async def tell(context: StageContext, failure: RunFailure) -> None:
        told.append((context.idempotency_key, context.output_of("first", Word).text, failure))
        if len(told) == 1:
            await rig.clock.sleep(30)

    deadly = with_hook(tell, stage("first", says("hello")), stage("second", takes_its_runner_down))
    run_id = await rig.submit(deadly)
    process = rig.start(deadly)
    await rig.until(lambda run: bool(ran), run_id)
    assert (await rig.run(run_id))["hooked"] is True
    process.kill()
    await given_up(rig, run_id, process.session)
    process = rig.start(deadly)
    await rig.until(lambda run: bool(told), run_id)
    process.kill()
    await given_up(rig, run_id, process.session)
    rig.start(deadly)
    await rig.until_ended(run_id, state=FAILED)
    assert ran == ["second"]
    assert told == [(f"{run_id}:on_failure", "hello", RunFailure(None, RUNNER_LOST, WHY))] * 2
    assert (await rig.told(run_id))[-4:] == ["RunRequeued", "RunAdmitted", "RunStarted", "RunFailed"]
    (ended,) = of_type(await rig.story(run_id), "RunFailed")
    assert ended == {"error": RUNNER_LOST, "message": WHY}


@virtual
async def test_a_run_that_was_given_up_after_its_stage_had_failed_tells_of_the_stage(rig: Rig) -> None:
    told: list[RunFailure] = []

    async def tell(context: StageContext, failure: RunFailure) -> None:
        told.append(failure)
        if len(told) == 1:
            await rig.clock.sleep(30)

    failing = with_hook(tell, stage("only", hopeless))
    run_id = await rig.submit(failing)
    process = rig.start(failing)
    await rig.until(lambda run: bool(told), run_id)
    process.kill()
    await given_up(rig, run_id, process.session)
    rig.start(failing)
    await rig.until_ended(run_id, state=FAILED)
    assert told == [RunFailure("only", "FinalError", "it cannot be done")] * 2


@virtual
async def test_a_retry_of_a_run_that_was_given_up_runs_its_stages(rig: Rig) -> None:
    async def tell(context: StageContext, failure: RunFailure) -> None:
        """It is enough that there is one."""

    async def slow_at_first(context: StageContext) -> Word:
        await rig.clock.sleep(3600 if rig.clock.monotonic() < 60 else 1)
        return Word()

    deadly = with_hook(tell, stage("only", slow_at_first))
    run_id = await rig.submit(deadly)
    process = rig.start(deadly)
    await rig.until(lambda run: run["state"] == RUNNING, run_id)
    process.kill()
    await given_up(rig, run_id, process.session)
    rig.start(deadly)
    await rig.until_ended(run_id, state=FAILED)
    await rig.clock.sleep(60)
    await rig.ask(run_id, lambda run: verbs.retry(run, from_stage=None, edited={}, forget=(), digest="d", at=9))
    await rig.until_ended(run_id, state=SUCCEEDED)


@virtual
async def test_a_run_without_a_hook_says_so_by_saying_nothing(rig: Rig) -> None:
    plain = workflow(stage("only"))
    run_id = await rig.submit(plain)
    rig.start(plain)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert "hooked" not in await rig.run(run_id)


def not_async(context: StageContext, failure: RunFailure) -> None:
    """The mistake under test."""


async def takes_one(context: StageContext) -> None:
    """The mistake under test."""


@pytest.mark.parametrize("hook", [not_async, takes_one, 7])
def test_a_hook_that_cannot_be_called_is_found_before_the_workflow_is_served(hook: FailureHook) -> None:
    assert problem_of(with_hook(hook, stage("only"))) == (
        "workflow sample: on_failure must be an async function that takes the context and the failure"
    )


def test_no_stage_has_the_name_of_the_hook() -> None:
    async def tell(context: StageContext, failure: RunFailure) -> None:
        """Never called."""

    assert problem_of(with_hook(tell, stage("on_failure"))).endswith(
        "can be called on_failure beside the hook of that name"
    )


@pytest.mark.parametrize("hooked", [True, False])
def test_the_stages_beside_have_let_go_before_the_hook_is_told_and_before_the_run_is_over(*, hooked: bool) -> None:
    """The end of a run frees its slot, so nothing of it may run any more."""

    @virtual
    async def story(rig: Rig) -> None:
        cleaned: list[float] = []
        told: list[float] = []

        async def beside(context: StageContext) -> Word:
            try:
                await rig.clock.sleep(3600)
            finally:
                await rig.clock.sleep(1)
                cleaned.append(rig.clock.monotonic())
            return Word()

        async def fails(context: StageContext) -> Word:
            await rig.clock.sleep(0.5)
            raise FinalError("it cannot be done")

        async def tell(context: StageContext, failure: RunFailure) -> None:
            told.append(rig.clock.monotonic())

        stages = (stage("beside", beside, needs=()), stage("fails", fails, needs=()))
        failing = with_hook(tell, *stages) if hooked else workflow(*stages)
        run_id = await rig.submit(failing)
        rig.start(failing)
        await rig.until_ended(run_id, state=FAILED)
        assert len(cleaned) == 1
        assert all(cleaned[0] <= at for at in told)
        assert len(told) == int(hooked)
        assert (await rig.told(run_id))[-2:] == ["StageFailed fails", "RunFailed fails"]

    story()


@virtual
async def test_the_hook_of_a_run_whose_time_passed_while_it_waited_can_read_what_is_finished(rig: Rig) -> None:
    told: list[str] = []

    async def tell(context: StageContext, failure: RunFailure) -> None:
        told.append(f"{failure.error} {context.output_of('first', Word).text}")

    async def asks(context: StageContext) -> Word:
        await context.approve("Go on?")
        return Word()

    stages = (stage("first", says("hello")), stage("ask", asks))
    asking = Workflow("sample", "1", stages, timeout_seconds=60, on_failure=tell)
    run_id = await rig.submit(asking)
    rig.start(asking)
    await rig.until(lambda run: run["state"] == WAITING, run_id)
    await rig.clock.sleep(60)
    await rig.ring()
    await rig.until_ended(run_id, state=TIMED_OUT)
    assert told == ["RunTimedOut hello"]


@virtual
async def test_the_hook_hears_of_an_input_that_does_not_fit(rig: Rig) -> None:
    told: list[RunFailure] = []

    class Order(BaseModel):
        amount: int

    async def tell(context: StageContext, failure: RunFailure) -> None:
        told.append(failure)

    ordering = Workflow("sample", "1", (stage("first"),), input=Order, on_failure=tell)
    run_id = await rig.submit(ordering)
    rig.start(ordering)
    await rig.until_ended(run_id, state=FAILED)
    assert [(failure.stage, failure.error) for failure in told] == [(None, "InvalidInput")]
