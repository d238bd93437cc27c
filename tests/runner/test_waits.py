"""Stages that wait: the run gives its slot back, survives every restart meanwhile, and goes on where it was."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from pydantic import BaseModel
from tests.runner.rig import Rig, virtual
from tests.runner.stages import Word, stage, workflow

from penstock_backbone.records import verbs
from penstock_backbone.records.runs import FACTS_MAX, FAILED, RUNNING, SUCCEEDED, WAITING, RunItem
from penstock_backbone.records.times import to_ms
from penstock_backbone.records.waits import open_waits
from penstock_backbone.vocabulary import Outcome, Update, Write
from penstock_runner.authoring import StageContext, Workflow
from penstock_runner.handlers.journal import FACTS_RESERVED
from penstock_runner.handlers.wishes import LOOK_SECONDS

DAY = 24 * 3600.0
LONG = 3600.0


class Payment(BaseModel):
    paid: bool


async def resting(rig: Rig, run_id: str, state: str = WAITING) -> RunItem:
    await rig.until(lambda run: run["state"] == state, run_id)
    return await rig.run(run_id)


def asks(question: str = "Go?") -> Workflow:
    async def approve(context: StageContext) -> Word:
        answer = await context.approve(question)
        return Word(text=f"approved by {answer.by}")

    return workflow(stage("draft"), stage("review", approve), stage("deliver"))


@virtual
async def test_a_run_waits_for_an_approval_through_restarts_and_holds_nothing(rig: Rig) -> None:
    one = asks()
    run_id = await rig.submit(one)
    first = rig.start(one)
    run = await resting(rig, run_id)
    assert "session" not in run
    assert run["attempt"] == 0, "it has not been interrupted"
    assert [(each.stage, each.key, each.wait.get("q")) for each in open_waits(run, 0)] == [
        ("review", "approval:1", "Go?")
    ]
    await rig.until(lambda _: not first.runner.claims.executions, run_id)
    for _ in range(5):
        first.kill()
        await rig.clock.sleep(0.6 * DAY)
        first = rig.start(one)
        await rig.clock.sleep(600)
        assert not first.runner.claims.executions
    await rig.answer(run_id, "review", approved=True, by="Ada")
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert (await rig.told(run_id)) == [
        "RunQueued", "RunAdmitted", "RunStarted", "StageStarted draft", "StageCompleted draft", "StageStarted review",
        "StageWaiting review", "RunWaiting", "SignalReceived", "RunResumed", "RunAdmitted", "RunStarted",
        "StageStarted review", "StageCompleted review", "StageStarted deliver", "StageCompleted deliver", "RunSucceeded",
    ]  # fmt: skip
    assert "approved by Ada" in str((await rig.run(run_id))["results"]["review"])
    assert (await rig.run(run_id))["waits"] == {}
    rig.check_history()


@virtual
async def test_what_is_rejected_fails_the_run_unless_the_stage_says_otherwise(rig: Rig) -> None:
    one = asks()
    run_id = await rig.submit(one)
    rig.start(one)
    await resting(rig, run_id)
    await rig.answer(run_id, "review", approved=False, by="Ada", comment="not yet")
    await rig.until_ended(run_id, state=FAILED)
    assert (await rig.story(run_id))[-1]["d"]["message"] == "it was rejected by Ada: not yet"
    assert (await rig.story(run_id))[-1]["d"]["error"] == "Rejected"


@virtual
async def test_a_signal_that_came_before_its_stage_is_there_at_once(rig: Rig) -> None:
    async def pays(context: StageContext) -> Word:
        payment = await context.wait_for("paid", Payment)
        return Word(text=str(payment.paid))

    one = workflow(stage("draft"), stage("pay", pays))
    run_id = await rig.ask_for(one)
    await rig.signal(run_id, "paid", '{"paid":true}')
    await rig.dispatch(run_id, 1)
    rig.start(one)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert "StageWaiting pay" not in await rig.told(run_id)


@virtual
async def test_a_signal_that_does_not_fit_fails_the_stage_for_good(rig: Rig) -> None:
    async def pays(context: StageContext) -> Word:
        await context.wait_for("paid", Payment)
        return Word()

    one = workflow(stage("pay", pays, attempts_max=5))
    run_id = await rig.submit(one)
    rig.start(one)
    await resting(rig, run_id)
    await rig.signal(run_id, "paid", '"yes"')
    await rig.until_ended(run_id, state=FAILED)
    assert "does not fit Payment" in (await rig.story(run_id))[-1]["d"]["message"]


@virtual
async def test_a_wait_ends_at_its_time_limit_and_no_other_attempt_finds_it_passed_again(rig: Rig) -> None:
    async def pays(context: StageContext) -> Word:
        await context.wait_for("paid", Payment, timeout_seconds=LONG)
        return Word()

    one = workflow(stage("pay", pays))
    run_id = await rig.submit(one)
    rig.start(one)
    run = await resting(rig, run_id)
    assert await rig.ring() == set()
    await rig.clock.sleep(LONG)
    assert to_ms(rig.clock.now()) >= run["due"]
    assert await rig.ring() == {run_id}
    await rig.until_ended(run_id, state=FAILED)
    assert (await rig.told(run_id))[-2:] == ["StageFailed pay", "RunFailed pay"]
    assert (await rig.story(run_id))[-1]["d"]["error"] == "WaitTimeout"
    assert (await rig.told(run_id)).count("StageFailed pay") == 1


@virtual
async def test_a_long_sleep_gives_the_slot_back_and_a_short_one_does_not(rig: Rig) -> None:
    woke: list[float] = []

    async def sleeps(context: StageContext) -> Word:
        await context.sleep(3)
        await context.sleep(LONG)
        woke.append(rig.clock.monotonic())
        return Word()

    one = workflow(stage("sleep", sleeps))
    run_id = await rig.submit(one)
    rig.start(one)
    began = rig.clock.monotonic()
    await resting(rig, run_id)
    await rig.clock.sleep(LONG)
    await rig.ring()
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert [round(moment - began) for moment in woke] == pytest.approx([LONG + 6], abs=3)


@virtual
@pytest.mark.parametrize(("signals", "room"), [(False, 160), (True, 140)])
async def test_a_run_has_room_for_about_so_many_waits(rig: Rig, *, signals: bool, room: int) -> None:
    """As docs/tutorial.md has it."""

    async def polls(context: StageContext) -> Word:
        for number in range(FACTS_MAX):
            await (context.wait_for(f"go-{number}", Word) if signals else context.sleep(60))
        return Word()

    one = workflow(stage("poll", polls))
    run_id = await rig.submit(one)
    rig.start(one)
    stories = []
    for number in range(2):
        stories.append((await resting(rig, run_id))["seq"])
        if signals:
            await rig.signal(run_id, f"go-{number}", "{}")
        else:
            await rig.clock.sleep(60)
        await rig.ring()
        await rig.until(lambda run: run["state"] == RUNNING or run["seq"] > stories[-1] + 1, run_id)
    assert (FACTS_MAX - FACTS_RESERVED) // (stories[1] - stories[0]) == pytest.approx(room, abs=5)


@virtual
async def test_a_runner_whose_clock_is_behind_takes_the_orchestrators_word_that_the_time_has_passed(rig: Rig) -> None:
    async def sleeps(context: StageContext) -> Word:
        await context.sleep(LONG)
        return Word()

    one = workflow(stage("sleep", sleeps))
    run_id = await rig.submit(one)
    rig.start(one)
    run = await resting(rig, run_id)
    await rig.ask(run_id, lambda now: verbs.wake(now, kind="timer", at=run["due"]))
    await rig.until_ended(run_id, state=SUCCEEDED)


@virtual
async def test_a_long_back_off_gives_the_slot_back_and_the_attempts_go_on_counting(rig: Rig) -> None:
    attempts: list[int] = []

    async def fails(context: StageContext) -> Word:
        attempts.append(context.attempt)
        raise RuntimeError("no")

    one = workflow(stage("try", fails, attempts_max=3, backoff_seconds=40, jitter=0))
    run_id = await rig.submit(one)
    rig.start(one)
    for number, seconds in ((1, 40), (2, 60)):
        await resting(rig, run_id)
        assert attempts == list(range(1, number + 1))
        await rig.clock.sleep(seconds)
        assert await rig.ring() == {run_id}
        await rig.until(lambda _: len(attempts) > attempts[-1] - 1, run_id)
    await rig.until_ended(run_id, state=FAILED)
    assert attempts == [1, 2, 3]


@virtual
async def test_a_stage_that_waits_beside_one_that_works_keeps_the_slot_and_goes_on_within_seconds(rig: Rig) -> None:
    answered: list[float] = []

    async def works(context: StageContext) -> Word:
        await rig.clock.sleep(100)
        return Word()

    async def waits(context: StageContext) -> Word:
        await context.wait_for("go", Word)
        answered.append(rig.clock.monotonic())
        return Word()

    one = workflow(
        stage("work", works, needs=()), stage("wait", waits, needs=()), stage("join", needs=("work", "wait"))
    )
    run_id = await rig.submit(one)
    rig.start(one)
    await rig.until(lambda run: "waits" in run, run_id)
    await rig.clock.sleep(60)
    assert (await rig.run(run_id))["state"] == RUNNING
    sent = rig.clock.monotonic()
    await rig.signal(run_id, "go", "{}")
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert len(answered) == 1
    assert answered[0] - sent <= LOOK_SECONDS + 0.5
    rig.check_history()


@virtual
async def test_an_answer_that_comes_just_as_the_run_goes_to_rest_is_not_overlooked(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = workflow(stage("wait", waiting_for_go), stage("after"))
    run_id = await rig.submit(one)
    sent: list[str] = []
    real = rig.engine.tables.write

    async def write(writes: Sequence[Write]) -> list[Outcome]:
        """Sends the signal before the write that would let the run rest."""
        if not sent and any(isinstance(each, Update) and each.set.get("state") == WAITING for each in writes):
            sent.append(run_id)
            await rig.signal(run_id, "go", "{}")
        return await real(writes)

    monkeypatch.setattr(rig.engine.tables, "write", write)
    rig.start(one)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert sent
    assert "RunWaiting" not in await rig.told(run_id)


async def waiting_for_go(context: StageContext) -> Word:
    await context.wait_for("go", Word)
    return Word()


@virtual
async def test_items_of_a_list_wait_each_for_itself(rig: Rig) -> None:
    class Names(BaseModel):
        names: list[str]

    async def names(_: StageContext) -> Names:
        return Names(names=["a", "b", "c"])

    ran: list[str] = []

    async def item(context: StageContext, name: str) -> Word:
        ran.append(name)
        if name != "b":
            await context.wait_for(f"go-{name}", Word)
        return Word(text=name)

    one = workflow(stage("names", names, output=Names), stage("each", item, each="names.names"), stage("after"))
    run_id = await rig.submit(one)
    rig.start(one)
    run = await resting(rig, run_id)
    assert sorted(each.stage for each in open_waits(run, 0)) == ["each.0", "each.2"]
    assert "each.1" in run["results"]
    await rig.signal(run_id, "go-c", "{}")
    run = await resting(rig, run_id)
    assert [each.stage for each in open_waits(run, 0)] == ["each.0"]
    await rig.signal(run_id, "go-a", "{}")
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert ran.count("b") == 1, "what has finished does not run again"
