"""A run that is asked to yield ends its stage, keeps what it has, and waits again as if nothing had happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.runner.faults import Faults
from tests.runner.rig import Rig, completions, virtual
from tests.runner.stages import Word, stage, workflow
from tests.runner.test_waits import resting

from penstock_backbone.records import verbs
from penstock_backbone.records.runs import PAUSED, QUEUED, RUNNING, SUCCEEDED, WAITING, RunItem
from penstock_backbone.vocabulary import Write
from penstock_runner.authoring import StageContext, Workflow
from penstock_runner.handlers.journal import YIELDED

STAGE_SECONDS = 60.0


def to_yield(run: RunItem) -> Write:
    return verbs.ask_to_yield(run, reason="a tenant has no slot", at=1)


def three_minutes(rig: Rig, ran: list[str]) -> Workflow:
    async def works(context: StageContext) -> Word:
        ran.append(context.stage)
        await rig.clock.sleep(STAGE_SECONDS)
        return Word()

    return workflow(stage("a", works), stage("b", works), stage("c", works))


@virtual
async def test_a_run_yields_at_the_end_of_its_stage_and_goes_on_after_it(rig: Rig) -> None:
    ran: list[str] = []
    three = three_minutes(rig, ran)
    run_id = await rig.submit(three)
    process = rig.start(three)
    await rig.clock.sleep(10)
    began = rig.clock.monotonic()
    await rig.ask(run_id, to_yield)
    await rig.until(lambda run: run["state"] == QUEUED, run_id)
    assert rig.clock.monotonic() - began <= STAGE_SECONDS
    run = await rig.run(run_id)
    assert list(run["results"]) == ["a"]
    assert (run["attempt"], "yielding" in run, "session" in run) == (0, False, False)
    last = (await rig.story(run_id))[-1]
    assert (last["t"], last["d"]["reason"]) == ("RunRequeued", YIELDED)
    assert process.runner.claims.executions == {}, "its runner has a place for somebody else"
    await rig.dispatch(run_id, 2)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert ran == ["a", "b", "c"]
    assert completions(await rig.story(run_id)) == ["a", "b", "c"]
    assert (await rig.run(run_id))["attempt"] == 1


@virtual
async def test_a_wish_that_arrives_while_a_stage_ends_is_obeyed_before_the_next_begins(rig: Rig) -> None:
    ran: list[str] = []

    async def asked_at_its_end(context: StageContext) -> Word:
        await rig.ask(context.run_id, to_yield)
        return Word()

    async def works(context: StageContext) -> Word:
        ran.append(context.stage)
        return Word()

    two = workflow(stage("a", asked_at_its_end), stage("b", works))
    run_id = await rig.submit(two)
    rig.start(two)
    await rig.until(lambda run: run["state"] == QUEUED and run["fence"] == 1, run_id)
    assert ran == []
    await rig.dispatch(run_id, 2)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert ran == ["b"]


@virtual
async def test_a_run_of_which_all_waits_rests_and_does_not_return_to_the_line(rig: Rig) -> None:
    async def waits(context: StageContext) -> Word:
        await rig.clock.sleep(STAGE_SECONDS)
        await context.wait_for("go", Word)
        return Word()

    one = workflow(stage("only", waits))
    run_id = await rig.submit(one)
    rig.start(one)
    await rig.clock.sleep(10)
    await rig.ask(run_id, to_yield)
    run = await resting(rig, run_id, WAITING)
    assert "yielding" not in run
    assert "RunRequeued" not in await rig.told(run_id)


@virtual
async def test_a_pause_that_comes_while_a_run_yields_is_not_forgotten(rig: Rig) -> None:
    ran: list[str] = []
    three = three_minutes(rig, ran)
    faults = Faults(rig.engine)
    write = faults.tables.write
    run_id = await rig.submit(three)

    async def with_a_pause_before_the_return(writes: Sequence[Any]) -> Any:
        run = await rig.run(run_id)
        if run["state"] == RUNNING and "pause" not in run and writes[0].set.get("state") == QUEUED:
            await rig.ask(run_id, lambda now: verbs.ask_to_pause(now, reason="not now", at=1))
        return await write(writes)

    faults.tables.write = with_a_pause_before_the_return  # type: ignore[method-assign]  # the same port, with a user
    rig.start(three, faults=faults)
    await rig.clock.sleep(10)
    await rig.ask(run_id, to_yield)
    run = await resting(rig, run_id, PAUSED)
    assert "yielding" not in run
    assert list(run["results"]) == ["a"]


@virtual
async def test_the_next_claim_is_not_asked_any_more(rig: Rig) -> None:
    ran: list[str] = []
    three = three_minutes(rig, ran)
    run_id = await rig.submit(three)
    first = rig.start(three, session="ses_first")
    await rig.clock.sleep(10)
    await rig.ask(run_id, to_yield)
    first.kill()
    await rig.requeue(run_id, "ses_first")
    rig.start(three)
    await rig.until(lambda run: run["state"] == RUNNING and run["fence"] == 2, run_id)
    assert "yielding" not in await rig.run(run_id)
    await rig.until_ended(run_id, state=SUCCEEDED)
