"""A claimed run goes through its stages, and its story says so without a gap."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, computed_field
from tests.runner.faults import Faults
from tests.runner.rig import Rig, virtual
from tests.runner.stages import Word, in_a_row, says, stage, workflow

from penstock_backbone.records.results import decode_result
from penstock_backbone.records.runs import FACTS_MAX, FAILED, SUCCEEDED, FactItem, fact, result_of, run_key
from penstock_backbone.vocabulary import BlobRef, Update
from penstock_events.facts import FACTS
from penstock_runner.authoring import FinalError, StageContext
from penstock_runner.handlers.journal import FACTS_RESERVED


def of_type(story: list[FactItem], kind: str) -> list[dict[str, Any]]:
    return [entry["d"] for entry in story if entry["t"] == kind]


@virtual
async def test_a_run_of_three_stages_tells_its_whole_story(rig: Rig) -> None:
    three = in_a_row(3)
    run_id = await rig.submit(three)
    rig.start(three)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert await rig.told(run_id) == [
        "RunQueued", "RunAdmitted", "RunStarted",
        "StageStarted s1", "StageCompleted s1",
        "StageStarted s2", "StageCompleted s2",
        "StageStarted s3", "StageCompleted s3", "RunSucceeded",
    ]  # fmt: skip
    run = await rig.run(run_id)
    assert run["tenant_status"] == "acme#completed"
    assert "session" not in run


@virtual
async def test_every_fact_is_one_that_readers_know(rig: Rig) -> None:
    async def failing(context: StageContext) -> Word:
        context.usage.add(input_tokens=3)
        if context.attempt == 1:
            raise ValueError("not yet")
        await context.put_artifact("a.txt", b"a")
        return Word()

    one = workflow(stage("only", failing))
    run_id = await rig.submit(one)
    rig.start(one)
    await rig.until_ended(run_id, state=SUCCEEDED)
    for entry in await rig.story(run_id):
        model = FACTS[entry["t"]].model_validate(entry["d"], strict=False)
        assert set(entry["d"]) <= set(type(model).model_fields)


@virtual
async def test_one_stage_costs_one_write(rig: Rig) -> None:
    seven = in_a_row(7)
    faults = Faults(rig.engine)
    run_id = await rig.submit(seven)
    rig.start(seven, faults=faults)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert faults.calls.count("write runs") == 1 + 7


@virtual
async def test_a_stage_sees_the_project_and_the_outputs_that_it_needs(rig: Rig) -> None:
    seen: dict[str, Any] = {}

    async def look(context: StageContext) -> Word:
        seen.update(
            requirement=context.project.requirement, tags=context.project.tags, tenant=context.tenant,
            run=context.run_id, key=context.idempotency_key, stage=context.stage, attempt=context.attempt,
            first=context.output_of("first", Word).text,
        )  # fmt: skip
        context.log.info("looked")
        return Word()

    plain = workflow(stage("first", says("hello")), stage("second"), stage("third", look))
    run_id = await rig.submit(plain, requirement="做一个小助手")
    rig.start(plain)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert seen == {
        "requirement": "做一个小助手", "tags": ("blue",), "tenant": "acme", "run": run_id,
        "key": f"{run_id}:third", "stage": "third", "attempt": 1, "first": "hello",
    }  # fmt: skip


@virtual
async def test_an_output_that_a_stage_does_not_need_is_refused_with_a_sentence(rig: Rig) -> None:
    async def greedy(context: StageContext) -> Word:
        return context.output_of("first", Word)

    plain = workflow(stage("first"), stage("greedy", greedy, needs=()))
    run_id = await rig.submit(plain)
    rig.start(plain)
    await rig.until_ended(run_id, state=FAILED)
    (failed,) = of_type(await rig.story(run_id), "RunFailed")
    assert failed["stage"] == "greedy"
    assert failed["message"] == "Stage greedy uses the output of 'first' without needing it: add it to needs."


@virtual
async def test_independent_stages_run_side_by_side_and_the_next_waits_for_all(rig: Rig) -> None:
    def takes(seconds: float) -> Any:
        async def work(context: StageContext) -> Word:
            await rig.clock.sleep(seconds)
            return Word()

        return work

    fan = workflow(
        stage("plan"),
        stage("left", takes(3), needs=("plan",)),
        stage("right", takes(5), needs=("plan",)),
        stage("middle", takes(4), needs=("plan",)),
        stage("join", takes(1), needs=("left", "right", "middle")),
    )
    run_id = await rig.submit(fan)
    rig.start(fan)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert (await rig.told(run_id))[3:] == [
        "StageStarted plan", "StageCompleted plan",
        "StageStarted left", "StageStarted right", "StageStarted middle",
        "StageCompleted left", "StageCompleted middle", "StageCompleted right",
        "StageStarted join", "StageCompleted join", "RunSucceeded",
    ]  # fmt: skip
    (ended,) = of_type(await rig.story(run_id), "RunSucceeded")
    assert 6000 <= ended["duration_ms"] < 6100


@virtual
async def test_stages_that_need_nothing_begin_with_the_claim(rig: Rig) -> None:
    both = workflow(stage("a", needs=()), stage("b", needs=()))
    run_id = await rig.submit(both)
    rig.start(both)
    await rig.until_ended(run_id, state=SUCCEEDED)
    told = await rig.told(run_id)
    assert told[3:5] == ["StageStarted a", "StageStarted b"]
    assert told[-1] == "RunSucceeded"


@virtual
async def test_a_failing_stage_ends_the_run_and_the_stages_beside_it(rig: Rig) -> None:
    stopped: list[str] = []

    async def patient(context: StageContext) -> Word:
        try:
            await rig.clock.sleep(1000)
        except BaseException:
            stopped.append(context.stage)
            raise
        return Word()

    async def failing(context: StageContext) -> Word:
        await rig.clock.sleep(1)
        raise FinalError("it cannot be done")

    both = workflow(stage("patient", patient, needs=()), stage("failing", failing, needs=()), stage("never"))
    run_id = await rig.submit(both)
    process = rig.start(both)
    await rig.until_ended(run_id, state=FAILED)
    await rig.clock.sleep(0.1)
    assert stopped == ["patient"]
    assert not process.runner.claims.executions
    assert (await rig.told(run_id))[-2:] == ["StageFailed failing", "RunFailed failing"]


@virtual
async def test_a_result_with_aliases_and_computed_fields_comes_back_as_it_was(rig: Rig) -> None:
    class Odd(BaseModel):
        model_config = ConfigDict(extra="forbid")
        count: int = Field(alias="howMany")

        @computed_field  # type: ignore[prop-decorator]  # pydantic's documented order
        @property
        def double(self) -> int:
            return self.count * 2

    seen: list[int] = []

    async def make(context: StageContext) -> Odd:
        return Odd(howMany=21)

    async def read(context: StageContext) -> Word:
        seen.append(context.output_of("make", Odd).double)
        return Word()

    plain = workflow(stage("make", make, output=Odd), stage("read", read))
    run_id = await rig.submit(plain)
    rig.start(plain)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert seen == [42]


@virtual
async def test_usage_is_summed_where_it_was_measured_and_absent_where_not(rig: Rig) -> None:
    async def model_call(context: StageContext) -> Word:
        context.usage.add(input_tokens=10, output_tokens=2)
        context.usage.add(input_tokens=5, cost_microusd=7)
        return Word(text="é")

    plain = workflow(stage("measured", model_call), stage("unmeasured"))
    run_id = await rig.submit(plain)
    rig.start(plain)
    await rig.until_ended(run_id, state=SUCCEEDED)
    measured, unmeasured = of_type(await rig.story(run_id), "StageCompleted")
    assert measured["usage"] == {"input_tokens": 15, "output_tokens": 2, "cost_microusd": 7}
    assert measured["output_bytes"] == len('{"text":"é"}'.encode())
    assert "usage" not in unmeasured


@virtual
async def test_a_large_output_travels_by_reference(rig: Rig) -> None:
    seen: list[str] = []

    async def read(context: StageContext) -> Word:
        seen.append(context.output_of("write", Word).text)
        return Word()

    plain = workflow(stage("write", says("长" * 3000)), stage("read", read))
    run_id = await rig.submit(plain)
    rig.start(plain)
    await rig.until_ended(run_id, state=SUCCEEDED)
    ref = result_of(await rig.run(run_id), "write")
    assert isinstance(ref, BlobRef)
    assert ref.key == f"{run_id}/1/write.json"
    assert b"\xe9\x95\xbf" in bytes(decode_result(await rig.engine.blobs.get(ref)).output)
    assert seen == ["长" * 3000]


@virtual
async def test_a_story_that_grows_too_long_ends_the_run_before_the_item_overflows(rig: Rig) -> None:
    async def fails_often(context: StageContext) -> Word:
        if context.attempt < 20:
            raise ValueError("错" * 2000)
        return Word()

    many = workflow(*(stage(f"s{n}", fails_often, attempts_max=20, backoff_seconds=0) for n in range(30)))
    run_id = await rig.submit(many)
    rig.start(many)
    await rig.until_ended(run_id, state=FAILED)
    (ended,) = of_type(await rig.story(run_id), "RunFailed")
    assert ended["error"] == "StoryTooLong"
    assert "The run's story is full" in ended["message"]
    assert "fewer stages, attempts or waits" in ended["message"]


@virtual
async def test_the_number_of_facts_is_limited_too(rig: Rig) -> None:
    full = FACTS_MAX - FACTS_RESERVED
    ten = in_a_row(10)
    run_id = await rig.submit(ten)
    facts = {f"facts/{number}": fact("RunRequeued", 0, reason="a long life") for number in range(3, full - 9)}
    await rig.engine.tables.write([Update(run_key(run_id), {**facts, "seq": full - 10, "since": 3})])
    rig.start(ten)
    await rig.until_ended(run_id, state=FAILED)
    run = await rig.run(run_id)
    assert run["seq"] == full
    assert run["facts"][str(full)]["d"]["error"] == "StoryTooLong"


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_stored_result_that_was_damaged_fails_the_run_and_says_so(damage: str) -> None:
    damaged_result(damage)


@virtual
async def damaged_result(rig: Rig, damage: str) -> None:
    plain = workflow(stage("write", says("y" * 3000)), stage("wait", hang), stage("read"))
    run_id = await rig.submit(plain)
    process = rig.start(plain)
    await rig.until(lambda run: "write" in run["results"], run_id)
    process.kill()
    key = f"{run_id}/1/write.json"
    if damage == "changed":
        rig.engine.blobs._files[key] = b"{}"
    else:
        del rig.engine.blobs._files[key]
    await rig.requeue(run_id, process.session)
    rig.start(plain)
    await rig.until_ended(run_id, state=FAILED)
    (ended,) = of_type(await rig.story(run_id), "RunFailed")
    assert ended["error"] == "ResultLost"
    assert key in ended["message"]


async def hang(context: StageContext) -> Word:
    await asyncio.get_running_loop().create_future()
    return Word()
