"""A stage with `each` runs once for every item of a list, and what is finished of it stays finished."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from pydantic import BaseModel
from tests.runner.rig import Rig, virtual
from tests.runner.stages import Word, nothing, stage, workflow
from tests.runner.test_cancel import ask, until_running
from tests.runner.test_execution import of_type
from tests.runner.test_journal import Slow
from tests.runner.test_plan import plan_of, problem_of

from penstock_backbone.records.runs import CANCELLED, FAILED, SUCCEEDED
from penstock_runner.authoring import BlockingContext, FinalError, Stage, StageContext
from penstock_runner.domain.mistakes import AT_ONCE_MAX, ITEMS_MAX


class Page(BaseModel):
    number: int


class Pages(BaseModel):
    pages: list[Page] = []
    title: str = ""


def split(count: int) -> Stage:
    async def run(context: StageContext) -> Pages:
        return Pages(pages=[Page(number=number) for number in range(count)])

    return stage("split", run, output=Pages)


async def read(context: StageContext, page: Page) -> Word:
    context.usage.add(input_tokens=page.number)
    await context.put_artifact(f"pages/{page.number}.txt", b"read")
    return Word(text=f"page {page.number} {context.idempotency_key.partition(':')[2]}")


def read_blocking(context: BlockingContext, page: Page) -> Word:
    return Word(text=f"{page.number}")


class Reading:
    """A stage that takes `seconds` for each page, and counts what runs."""

    def __init__(self, rig: Rig, seconds: float = 1.0) -> None:
        self._rig = rig
        self._seconds = seconds
        self.begun: list[int] = []
        self.running = self.most = 0

    async def __call__(self, context: StageContext, page: Page) -> Word:
        self.begun.append(page.number)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self._rig.clock.sleep(self._seconds)
        finally:
            self.running -= 1
        return Word(text=f"{page.number}")


@virtual
async def test_each_item_is_given_and_the_outputs_come_back_in_the_order_of_the_list(rig: Rig) -> None:
    seen: list[str] = []

    async def join(context: StageContext) -> Word:
        seen.extend(word.text for word in context.outputs_of("read", Word))
        return Word()

    three = workflow(split(3), stage("read", read, each="split.pages"), stage("join", join))
    run_id = await rig.submit(three)
    rig.start(three)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert seen == ["page 0 read:0", "page 1 read:1", "page 2 read:2"]
    assert (await rig.told(run_id))[3:] == [
        "StageStarted split", "StageCompleted split", "StageStarted read", "StageCompleted read",
        "StageStarted join", "StageCompleted join", "RunSucceeded",
    ]  # fmt: skip
    story = await rig.story(run_id)
    assert of_type(story, "StageCompleted")[1]["usage"] == {"input_tokens": 3}
    assert [file["name"] for file in of_type(story, "RunSucceeded")[0]["artifacts"]] == [
        "pages/0.txt", "pages/1.txt", "pages/2.txt",
    ]  # fmt: skip
    assert set((await rig.run(run_id))["results"]) == {"split", "read", "join"}


@virtual
async def test_a_list_without_items_is_finished_at_once(rig: Rig) -> None:
    none = workflow(split(0), stage("read", read, each="split.pages"))
    run_id = await rig.submit(none)
    rig.start(none)
    await rig.until_ended(run_id, state=SUCCEEDED)


@virtual
async def test_a_plain_function_takes_the_item_too(rig: Rig) -> None:
    two = workflow(split(2), stage("read", read_blocking, each="split.pages"))
    run_id = await rig.submit(two)
    rig.start(two)
    await rig.until_ended(run_id, state=SUCCEEDED)


@virtual
async def test_no_more_than_at_once_run_side_by_side(rig: Rig) -> None:
    reading = Reading(rig)
    ten = workflow(split(10), stage("read", reading, each="split.pages", at_once=3))
    run_id = await rig.submit(ten)
    rig.start(ten)
    await rig.until(lambda run: "of 10" in str(run.get("progress")), run_id)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert (reading.most, len(reading.begun)) == (3, 10)


@virtual
async def test_items_that_are_finished_are_not_done_again_when_the_runner_is_lost(rig: Rig) -> None:
    reading = Reading(rig)
    ten = workflow(split(10), stage("read", reading, each="split.pages", at_once=2))
    run_id = await rig.submit(ten)
    process = rig.start(ten)
    await rig.until(lambda run: sum("." in name for name in run["results"]) == 4, run_id)
    process.kill()
    await rig.requeue(run_id, process.session)
    rig.start(ten)
    await rig.until_ended(run_id, state=SUCCEEDED)
    repeated = [number for number, group in itertools.groupby(sorted(reading.begun)) if len(list(group)) > 1]
    assert repeated == [4, 5]


@virtual
async def test_an_item_that_fails_is_tried_again_alone(rig: Rig) -> None:
    begun: list[tuple[int, int]] = []

    async def shaky(context: StageContext, page: Page) -> Word:
        begun.append((page.number, context.attempt))
        if page.number == 1 and context.attempt == 1:
            raise ConnectionError("cut off")
        return Word()

    three = workflow(split(3), stage("read", shaky, each="split.pages", backoff_seconds=2))
    run_id = await rig.submit(three)
    rig.start(three)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert sorted(begun) == [(0, 1), (1, 1), (1, 2), (2, 1)]
    (failed,) = of_type(await rig.story(run_id), "StageFailed")
    assert (failed["message"], failed["retry_in_ms"]) == ("item 1: cut off", 2000)


@virtual
async def test_an_item_that_fails_for_good_ends_the_run_and_the_items_beside_it(rig: Rig) -> None:
    reading = Reading(rig, seconds=1000)

    async def fails(context: StageContext, page: Page) -> Word:
        if page.number == 1:
            raise FinalError("it cannot be read")
        return await reading(context, page)

    three = workflow(split(3), stage("read", fails, each="split.pages"))
    run_id = await rig.submit(three)
    process = rig.start(three)
    await rig.until_ended(run_id, state=FAILED)
    await rig.clock.sleep(0.1)
    assert reading.running == 0
    assert not process.runner.claims.executions
    assert (await rig.told(run_id))[-2:] == ["StageFailed read", "RunFailed read"]
    assert of_type(await rig.story(run_id), "RunFailed")[0]["message"] == "item 1: it cannot be read"


@virtual
async def test_the_items_of_a_run_that_is_cancelled_are_told_once_and_may_clean_up(rig: Rig) -> None:
    cleaned: list[int] = []

    async def long(context: StageContext, page: Page) -> Word:
        try:
            await rig.clock.sleep(3600)
        finally:
            await rig.clock.sleep(1)
            cleaned.append(page.number)
        return Word()

    three = workflow(split(3), stage("read", long, each="split.pages"))
    run_id = await rig.submit(three)
    rig.start(three)
    await until_running(rig, run_id)
    await rig.clock.sleep(1)
    await ask(rig, run_id)
    await rig.until_ended(run_id, state=CANCELLED)
    assert sorted(cleaned) == [0, 1, 2]


@virtual
async def test_a_wish_to_cancel_that_an_item_heard_of_is_not_forgotten_when_a_stage_beside_its_list_fails(
    rig: Rig,
) -> None:
    """Seed 61001665: the failure stood in the line behind the item's result, and ended the run that was to be cancelled."""

    async def uneven(context: StageContext, page: Page) -> Word:
        try:
            await rig.clock.sleep(5 if page.number == 0 else 60)
        finally:
            await rig.clock.sleep(page.number)  # the second cleans up
        return Word()

    async def fails(context: StageContext) -> Word:
        """While the item's result is written somebody wants the run ended, and then this stage cannot go on."""
        await rig.clock.sleep(5.05)
        await ask(rig, run_id)
        raise FinalError("it cannot be built")

    album = workflow(split(2), stage("read", uneven, each="split.pages"), stage("cover", fails, needs=("split",)))
    run_id = await rig.submit(album)
    rig.start(album, faults=Slow(rig, seconds=0.1))
    await rig.until_ended(run_id, state=CANCELLED)


@virtual
async def test_a_runner_that_drains_keeps_the_items_that_end_and_begins_no_other(rig: Rig) -> None:
    reading = Reading(rig)
    ten = workflow(split(10), stage("read", reading, each="split.pages", at_once=2))
    run_id = await rig.submit(ten)
    process = rig.start(ten, session="ses_first")
    await rig.until(lambda run: sum("." in name for name in run["results"]) == 2, run_id)
    process.stop.set()
    await process.task
    assert len(reading.begun) == 4
    await rig.requeue(run_id, "ses_first")
    rig.start(ten)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert sorted(reading.begun) == list(range(10))


@virtual
async def test_a_list_that_is_too_long_is_refused_in_one_sentence(rig: Rig) -> None:
    many = workflow(split(ITEMS_MAX + 1), stage("read", read, each="split.pages"))
    run_id = await rig.submit(many)
    rig.start(many)
    await rig.until_ended(run_id, state=FAILED)
    (failed,) = of_type(await rig.story(run_id), "RunFailed")
    assert failed["message"] == "split.pages has 101 items, and 100 are possible: make groups of them"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"each": "pages"}, "each is 'pages', and must be \"stage.field\" with the name of a stage"),
        ({"each": "split.pages", "needs": ()}, "each reads the output of split, so split must be in needs"),
        ({"each": "split.chapters"}, "each reads the field 'chapters', which the output of split does not have"),
        ({"each": "split.title"}, "each reads the field title of split, which must be a list or a tuple"),
        ({"each": "split.pages", "at_once": 0}, "at_once is 0, and 1 to 64 are possible"),
    ],
)
def test_a_list_that_cannot_be_read_is_found_before_the_workflow_is_served(
    settings: dict[str, Any], sentence: str
) -> None:
    assert problem_of(workflow(split(1), stage("read", read, **settings))) == f"workflow sample, stage read: {sentence}"


def test_the_function_must_take_the_item() -> None:
    assert problem_of(workflow(split(1), stage("read", nothing, each="split.pages"))).endswith(
        "what it runs must be a function that takes the context and the item"
    )
    assert plan_of(split(1), stage("read", read, each="split.pages"))


@virtual
async def test_long_lists_of_long_outputs_side_by_side_do_not_fill_the_story(rig: Rig) -> None:
    """What would not fit the run's item beside the rest stands in blobs."""

    async def long(context: StageContext, page: Page) -> Word:
        return Word(text="x" * 1_900)

    lists = [stage(name, long, each="split.pages", needs=("split",), at_once=AT_ONCE_MAX) for name in "abc"]
    run_id = await rig.submit(wide := workflow(split(ITEMS_MAX), *lists))
    rig.start(wide)
    await rig.until_ended(run_id, state=SUCCEEDED)
