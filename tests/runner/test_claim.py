"""A granted run is claimed by one runner, once, and from then on its session owns it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.runner.faults import Faults
from tests.runner.rig import Rig, virtual
from tests.runner.stages import Word, in_a_row, stage, workflow
from tests.runner.test_execution import hang

from penstock_backbone.inventory import DISPATCH_QUEUE
from penstock_backbone.records.runs import FAILED, QUEUED, RUNNING, SUCCEEDED, revoke
from penstock_backbone.records.sessions import catalog
from penstock_backbone.vocabulary import Outgoing
from penstock_runner.authoring import StageContext


@virtual
async def test_a_claim_says_who_waited_how_long_and_what_is_to_be_done(rig: Rig) -> None:
    two = in_a_row(2)
    run_id = await rig.ask_for(two)
    await rig.clock.sleep(30)
    await rig.dispatch(run_id, 1)
    rig.start(two)
    await rig.until_ended(run_id)
    run = await rig.run(run_id)
    admitted, started = run["facts"]["3"], run["facts"]["4"]
    assert (admitted["t"], admitted["d"]) == ("RunAdmitted", {"fence": 1, "waited_ms": 30_000})
    assert (started["t"], started["d"]) == (
        "RunStarted", {"fence": 1, "attempt": 1, "workflow_version": "1", "stages": ["s1", "s2"]},
    )  # fmt: skip
    assert run.get("version") == "1"


@virtual
async def test_the_message_is_gone_as_soon_as_the_run_is_claimed(rig: Rig) -> None:
    long = workflow(stage("hang", hang))
    run_id = await rig.submit(long)
    rig.start(long)
    await rig.until(lambda run: run["state"] == RUNNING, run_id)
    assert await rig.waiting_messages() == 0


@virtual
async def test_a_run_that_was_dispatched_many_times_is_executed_once(rig: Rig) -> None:
    ran: list[str] = []

    async def count(context: StageContext) -> Word:
        ran.append(context.stage)
        await rig.clock.sleep(5)
        return Word()

    plain = workflow(stage("count", count))
    run_id = await rig.submit(plain)
    for _ in range(5):
        await rig.dispatch(run_id, 1)
    for _ in range(3):
        rig.start(plain)
    await rig.dispatch(run_id, 1)
    await rig.until(lambda run: run["state"] == RUNNING, run_id)
    await rig.dispatch(run_id, 1)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert ran == ["count"]
    assert (await rig.told(run_id)).count("RunAdmitted") == 1
    assert await rig.waiting_messages() == 0


@pytest.mark.parametrize("between_seconds", [0.0, 0.3, 1.5, 2.5])
def test_duplicates_that_overtake_each_other_in_one_process_start_one_execution(between_seconds: float) -> None:
    duplicates(between_seconds)


@virtual
async def duplicates(rig: Rig, between_seconds: float) -> None:
    """A read takes a second to be answered, a claim a second to be made: the second batch sees the run still queued."""
    faults = Faults(rig.engine)
    get, write = faults.tables.get, faults.tables.write

    async def slowly_answered(keys: Sequence[Any]) -> Any:
        items = await get(keys)
        await rig.clock.sleep(1)
        return items

    async def slowly_made(writes: Sequence[Any]) -> Any:
        await rig.clock.sleep(1)
        return await write(writes)

    faults.tables.get = slowly_answered  # type: ignore[method-assign]  # the same port, with a delay
    faults.tables.write = slowly_made  # type: ignore[method-assign]  # the same port, with a delay
    begun: list[str] = []

    async def count(context: StageContext) -> Word:
        begun.append(context.run_id)
        return await hang(context)

    plain = workflow(stage("count", count))
    run_id = await rig.ask_for(plain)
    rig.start(plain, faults=faults)
    await rig.clock.sleep(5)
    for _ in range(4):
        await rig.dispatch(run_id, 1)
        await rig.clock.sleep(between_seconds)
    await rig.clock.sleep(10)
    assert begun == [run_id]
    assert (await rig.told(run_id)).count("RunStarted") == 1


@virtual
async def test_a_claim_whose_answer_was_lost_recognises_itself(rig: Rig) -> None:
    plain = in_a_row(2)
    lost: list[int] = []

    def lose_the_claim(number: int, name: str) -> str:
        if name == "write runs" and not lost:
            lost.append(number)
            return "lose response"
        return "none"

    run_id = await rig.submit(plain)
    rig.start(plain, faults=Faults(rig.engine, lose_the_claim))  # type: ignore[arg-type]  # text of the right kind
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert lost
    assert (await rig.told(run_id)).count("RunStarted") == 1


@virtual
async def test_a_grant_that_was_revoked_is_not_claimed_and_the_next_one_is(rig: Rig) -> None:
    plain = in_a_row(1)
    run_id = await rig.submit(plain)
    await rig.engine.tables.write([revoke(run_id, fence=1)])
    rig.start(plain)
    await rig.clock.sleep(60)
    assert (await rig.run(run_id))["state"] == QUEUED
    await rig.dispatch(run_id, 2)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert (await rig.run(run_id))["fence"] == 2


@virtual
async def test_forged_and_malformed_messages_are_dropped_and_the_good_ones_beside_them_are_not(rig: Rig) -> None:
    plain = in_a_row(1)
    run_id = await rig.submit(plain)
    forged = ["{", '{"run": "run_unknown", "fence": 9, "token": "t", "tenant": "acme"}', "x" * 200_000]
    forged.append(f'{{"run": "{run_id}", "fence": 99, "token": "t", "tenant": "evil"}}')
    await rig.engine.queues.send(DISPATCH_QUEUE, [Outgoing(body) for body in forged])
    await rig.dispatch(run_id, 1)
    rig.start(plain)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert (await rig.run(run_id))["fence"] == 1
    assert await rig.waiting_messages() == 0


@virtual
async def test_a_message_without_the_project_works_too(rig: Rig) -> None:
    plain = in_a_row(1)
    run_id = await rig.ask_for(plain)
    await rig.dispatch(run_id, 1, with_project=False)
    rig.start(plain)
    await rig.until_ended(run_id, state=SUCCEEDED)


@virtual
async def test_an_unknown_workflow_is_left_for_a_runner_that_knows_it(rig: Rig) -> None:
    plain, other = in_a_row(1), workflow(stage("a"), name="other")
    run_id = await rig.submit(other)
    rig.start(plain)
    await rig.clock.sleep(0.5)
    assert (await rig.run(run_id))["state"] == QUEUED
    rig.start(other)
    await rig.until_ended(run_id, state=SUCCEEDED)


@virtual
async def test_a_workflow_that_nobody_knows_is_offered_a_few_times_and_not_forever(rig: Rig) -> None:
    faults = Faults(rig.engine)
    run_id = await rig.submit("unheard_of")
    rig.start(in_a_row(1), faults=faults)
    assert await rig.waiting_messages() == 0
    assert (await rig.run(run_id))["state"] == QUEUED
    assert faults.calls.count("extend") <= 6


@virtual
async def test_a_resumed_run_stays_with_the_version_it_began_with(rig: Rig) -> None:
    old = workflow(stage("a"), stage("hang", hang), version="1")
    new = workflow(stage("a"), stage("b"), version="2")
    run_id = await rig.submit(old)
    first = rig.start(old)
    await rig.until(lambda run: "a" in run["results"], run_id)
    first.kill()
    await rig.requeue(run_id, first.session)
    rig.start(new)
    await rig.clock.sleep(60)
    assert (await rig.run(run_id))["state"] == QUEUED
    quick = workflow(stage("a"), stage("hang"), version="1")
    rig.start(quick, new)
    await rig.dispatch(run_id, 2)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert (await rig.run(run_id)).get("version") == "1"


@virtual
async def test_no_more_runs_are_taken_than_there_are_slots_and_a_freed_slot_is_used_at_once(rig: Rig) -> None:
    running = [0, 0]

    async def counted(context: StageContext) -> Word:
        running[0] += 1
        running[1] = max(running)
        await rig.clock.sleep(10)
        running[0] -= 1
        return Word()

    plain = workflow(stage("counted", counted))
    run_ids = [await rig.submit(plain) for _ in range(9)]
    rig.start(plain, capacity=3)
    began = rig.clock.monotonic()
    await rig.until_ended(*run_ids, state=SUCCEEDED)
    assert running[1] == 3
    assert rig.clock.monotonic() - began < 31


@virtual
async def test_a_failed_run_frees_its_slot(rig: Rig) -> None:
    async def fails(context: StageContext) -> Word:
        raise ValueError

    plain = workflow(stage("fails", fails, attempts_max=1))
    run_ids = [await rig.submit(plain) for _ in range(5)]
    rig.start(plain, capacity=1)
    await rig.until_ended(*run_ids, state=FAILED)


@virtual
async def test_the_workflows_are_announced_with_titles_for_people_and_the_resources_they_use(rig: Rig) -> None:
    first = stage("draft_the_plan", resources=("model:large", "browser:one"))
    second = stage("b", title="Be happy", resources=("model:large",))
    rig.start(workflow(first, second, name="sample", version="7"))
    await rig.clock.sleep(1)
    page = await rig.engine.tables.query(catalog())
    (item,) = page.items
    assert (item["sk"], item["version"]) == ("sample", "7")
    assert item["stages"] == [{"name": "draft_the_plan", "title": "Draft the plan"}, {"name": "b", "title": "Be happy"}]
    assert item["resources"] == ["browser:one", "model:large"]
