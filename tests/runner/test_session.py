"""A runner proves that it lives, and gives up by itself before others may take its runs (faults 52 to 57)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.runner.faults import Fault, Faults
from tests.runner.rig import Rig, completions, virtual
from tests.runner.stages import Word, in_a_row, stage, workflow

from penstock_backbone.errors import Retryable
from penstock_backbone.records import sessions
from penstock_backbone.records.runs import QUEUED, RUNNING, SUCCEEDED, fence_off
from penstock_backbone.records.sessions import HEARTBEAT_SECONDS, LEASE_SECONDS, SELF_FENCE_SECONDS
from penstock_backbone.vocabulary import Written
from penstock_runner.authoring import StageContext, Workflow
from penstock_runner.handlers.session import Session


def sleepy(rig: Rig, seconds: float, ended: list[str] | None = None) -> Workflow:
    async def sleep(context: StageContext) -> Word:
        try:
            await rig.clock.sleep(seconds)
        except BaseException:
            if ended is not None:
                ended.append("stopped")
            raise
        if ended is not None:
            ended.append("finished")
        return Word()

    return workflow(stage("sleep", sleep), stage("after"))


def test_the_runner_gives_up_before_the_orchestrator_gives_it_up() -> None:
    assert HEARTBEAT_SECONDS * 2 < SELF_FENCE_SECONDS < LEASE_SECONDS


@virtual
async def test_a_runner_opens_the_session_it_was_given_and_beats_it(rig: Rig) -> None:
    rig.start(in_a_row(1), session="ses_given", capacity=7)
    await rig.clock.sleep(1)
    opened = await rig.session("ses_given")
    assert (opened["st"], opened["hb"], opened["capacity"]) == ("live", 0, 7)
    last = 0
    for _ in range(10):
        await rig.clock.sleep(LEASE_SECONDS / 2)
        beats = (await rig.session("ses_given"))["hb"]
        assert beats > last
        last = beats


@virtual
async def test_a_session_says_every_version_that_its_runner_serves(rig: Rig) -> None:
    old, new = workflow(stage("a"), version="1"), workflow(stage("a"), version="2")
    rig.start(old, new, workflow(stage("a"), name="other", version="7.1"), session="ses_given")
    await rig.clock.sleep(1)
    served = [f"{new.name}@1", f"{new.name}@2", "other@7.1"]
    assert (await rig.session("ses_given"))["serves"] == sorted(served)


@virtual
async def test_a_session_id_that_is_taken_is_not_used_a_second_time(rig: Rig) -> None:
    await rig.engine.tables.write([sessions.open_session("ses_given", capacity=1, at=0)])
    await rig.engine.tables.write([sessions.beat("ses_given", hb=4)])
    process = rig.start(in_a_row(1), session="ses_given")
    await rig.clock.sleep(2)
    assert process.session != "ses_given"
    assert (await rig.session("ses_given"))["hb"] == 4


@virtual
async def test_opening_a_session_recognises_its_own_lost_answer(rig: Rig) -> None:
    def lose(number: int, name: str) -> Fault:
        return "lose response" if number == 2 else "none"

    process = rig.start(in_a_row(1), session="ses_given", faults=Faults(rig.engine, lose))
    await rig.clock.sleep(5)
    assert process.session == "ses_given"


@virtual
async def test_a_runner_that_is_not_heard_stops_its_runs_and_begins_a_new_session(rig: Rig) -> None:
    """The run is taken up again once the lost session has been noticed, and no sooner than the runner has let go."""
    ended: list[str] = []
    plain = sleepy(rig, 20, ended)
    silent = False

    def mute(number: int, name: str) -> Fault:
        return "lose request" if silent and name == "write sessions" else "none"

    run_id = await rig.submit(plain)
    process = rig.start(plain, faults=Faults(rig.engine, mute), session="ses_first")
    await rig.until(lambda run: run["state"] == RUNNING, run_id)
    await rig.clock.sleep(3)
    silent = True
    await rig.clock.sleep(SELF_FENCE_SECONDS - HEARTBEAT_SECONDS - 0.5)
    assert ended == []
    await rig.clock.sleep(HEARTBEAT_SECONDS + 1)
    assert ended == ["stopped"]
    silent = False
    await rig.clock.sleep(1)
    assert process.session != "ses_first"
    assert (await rig.session("ses_first"))["st"] == "dead"
    assert (await rig.session(process.session))["st"] == "live"
    assert (await rig.run(run_id))["state"] == RUNNING
    await rig.requeue(run_id, "ses_first")
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert ended == ["stopped", "finished"]


@virtual
async def test_lost_answers_to_beats_count_from_the_time_they_were_sent(rig: Rig) -> None:
    """Each beat is applied, but the runner does not know: it gives up all the same."""
    ended: list[str] = []
    plain = sleepy(rig, 20, ended)

    def deaf(number: int, name: str) -> Fault:
        return "lose response" if rig.clock.monotonic() > 3 and name == "write sessions" else "none"

    run_id = await rig.submit(plain)
    rig.start(plain, faults=Faults(rig.engine, deaf))
    await rig.until(lambda run: run["state"] == RUNNING, run_id)
    await rig.clock.sleep(3 + SELF_FENCE_SECONDS)
    assert ended == ["stopped"]


@virtual
async def test_a_beat_that_hangs_does_not_keep_the_runner_from_beginning_anew(rig: Rig) -> None:
    class Hanging:
        def __init__(self, tables: Any) -> None:
            self._tables = tables
            self.get, self.query = tables.get, tables.query
            self.write_after, self.transact = tables.write_after, tables.transact

        async def write(self, writes: Sequence[Any]) -> Any:
            if 1 < rig.clock.monotonic() < 5 and writes[0].key.table == "sessions":
                await rig.clock.sleep(100_000)
            return await self._tables.write(writes)

    faults = Faults(rig.engine)
    faults.tables = Hanging(faults.tables)  # type: ignore[assignment]  # the same port
    process = rig.start(in_a_row(1), session="ses_first", faults=faults)
    await rig.clock.sleep(SELF_FENCE_SECONDS + 1)
    assert process.session != "ses_first"


@virtual
async def test_a_session_that_was_declared_dead_takes_its_runs_with_it_at_the_next_beat(rig: Rig) -> None:
    ended: list[str] = []
    plain = sleepy(rig, 100, ended)
    run_id = await rig.submit(plain)
    process = rig.start(plain, session="ses_first")
    await rig.until(lambda run: run["state"] == RUNNING, run_id)
    await rig.engine.tables.write([sessions.bury_session("ses_first")])
    await rig.clock.sleep(HEARTBEAT_SECONDS + 0.5)
    assert ended == ["stopped"]
    assert process.session != "ses_first"
    await rig.requeue(run_id, "ses_first")
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert completions(await rig.story(run_id)) == ["sleep", "after"]


@virtual
async def test_a_run_that_was_claimed_in_the_last_moments_of_a_dead_session_can_be_requeued_too(rig: Rig) -> None:
    """The runner does not know yet that its session was buried, and claims: the sweep finds the run all the same."""
    plain = sleepy(rig, 100)
    rig.start(plain, session="ses_first")
    await rig.clock.sleep(1)
    await rig.engine.tables.write([sessions.bury_session("ses_first")])
    run_id = await rig.submit(plain)
    await rig.until(lambda run: run["state"] == RUNNING, run_id)
    assert (await rig.run(run_id)).get("session") == "ses_first"
    await rig.clock.sleep(HEARTBEAT_SECONDS)
    await rig.requeue(run_id, "ses_first")
    await rig.until_ended(run_id, state=SUCCEEDED)


@virtual
async def test_a_zombie_commits_nothing(rig: Rig) -> None:
    """Its run was fenced off and given to another while it worked on without a sign that anything was wrong."""
    release = False

    async def slow(context: StageContext) -> Word:
        while not release:
            await rig.clock.sleep(0.5)
        return Word(text="by the zombie" if len(rig.processes) == 1 else "by the other")

    plain = workflow(stage("slow", slow), stage("after"))
    run_id = await rig.submit(plain)
    zombie = rig.start(plain)
    await rig.until(lambda run: run["state"] == RUNNING, run_id)
    run = await rig.run(run_id)
    (outcome,) = await rig.engine.tables.write([fence_off(run, reason="a mistake of the sweeper", at=1)])
    assert isinstance(outcome, Written)
    release = True
    await rig.clock.sleep(2)
    assert not zombie.runner.claims.executions
    after = await rig.run(run_id)
    assert (after["state"], after["results"]) == (QUEUED, {})
    await rig.dispatch(run_id, 2)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert completions(await rig.story(run_id)) == ["slow", "after"]


@virtual
async def test_when_one_stage_finds_the_run_lost_those_beside_it_stop(rig: Rig) -> None:
    ended: list[str] = []

    async def forever(context: StageContext) -> Word:
        try:
            await rig.clock.sleep(10_000)
        finally:
            ended.append(context.stage)
        return Word()

    async def short(context: StageContext) -> Word:
        await rig.clock.sleep(1)
        return Word()

    both = workflow(stage("forever", forever, needs=()), stage("short", short, needs=()), stage("after"))
    run_id = await rig.submit(both)
    process = rig.start(both)
    await rig.until(lambda run: run["state"] == RUNNING, run_id)
    await rig.engine.tables.write([fence_off(await rig.run(run_id), reason="a mistake", at=1)])
    await rig.clock.sleep(2)
    assert ended == ["forever"]
    assert not process.runner.claims.executions


@virtual
async def test_a_process_that_was_frozen_past_its_lease_writes_nothing_when_it_wakes(rig: Rig) -> None:
    plain = sleepy(rig, 5)
    faults = Faults(rig.engine)
    run_id = await rig.submit(plain)
    rig.start(plain, faults=faults, session="ses_first")
    await rig.until(lambda run: run["state"] == RUNNING, run_id)
    written = faults.calls.count("write runs")
    rig.clock.freeze(60)
    await rig.clock.sleep(2)
    assert faults.calls.count("write runs") == written
    assert (await rig.run(run_id))["state"] == RUNNING


@virtual
async def test_a_process_that_freezes_between_the_end_of_a_stage_and_its_checkpoint_writes_nothing(rig: Rig) -> None:
    """No turn of the watchdog lies between the freeze and the write (fault 53)."""

    async def freezes(context: StageContext) -> Word:
        if len(rig.processes) == 1:
            rig.clock.freeze(60)
        return Word()

    plain = workflow(stage("freezes", freezes))
    faults = Faults(rig.engine)
    run_id = await rig.submit(plain)
    rig.start(plain, faults=faults)
    await rig.until(lambda run: run["state"] == RUNNING, run_id)
    await rig.clock.sleep(2)
    claim = 1
    assert faults.calls.count("write runs") == claim
    assert (await rig.run(run_id))["results"] == {}


@virtual
async def test_a_beat_counts_from_when_it_was_sent_and_not_from_when_it_was_answered(rig: Rig) -> None:
    faults = Faults(rig.engine)
    write = faults.tables.write

    async def slowly_answered(writes: Sequence[Any]) -> Any:
        outcomes = await write(writes)
        if writes[0].key.table == "sessions" and rig.clock.monotonic() > 1:
            await rig.clock.sleep(SELF_FENCE_SECONDS - HEARTBEAT_SECONDS - 0.5)
        return outcomes

    faults.tables.write = slowly_answered  # type: ignore[method-assign]  # the same port, with a delay
    process = rig.start(in_a_row(1), session="ses_first", faults=faults)
    await rig.clock.sleep(HEARTBEAT_SECONDS + SELF_FENCE_SECONDS + 1)
    first = process.runner.heartbeat.session
    assert first is not None
    assert first.fenced or first.id != "ses_first"


def test_a_fenced_session_stays_fenced_whatever_is_heard_later() -> None:
    stopped: list[str] = []

    class Work:
        def stop(self) -> None:
            stopped.append("stopped")

    session = Session("ses_1", heard_at=0.0)
    session.work["run_1", 1] = Work()
    assert not session.is_over(SELF_FENCE_SECONDS - 0.1)
    assert session.is_over(SELF_FENCE_SECONDS)
    session.heard_at = 100.0
    assert session.is_over(100.0)
    session.fence("again")
    assert stopped == ["stopped"]


@virtual
async def test_while_the_backbone_is_away_for_a_minute_nothing_is_lost(rig: Rig) -> None:
    plain = sleepy(rig, 10)

    def outage(number: int, name: str) -> Fault:
        return "lose request" if 3 < rig.clock.monotonic() < 63 else "none"

    run_id = await rig.submit(plain)
    process = rig.start(plain, faults=Faults(rig.engine, outage), session="ses_first")
    await rig.clock.sleep(70)
    assert process.session != "ses_first"
    await rig.requeue(run_id, "ses_first")
    await rig.until_ended(run_id, state=SUCCEEDED)


@pytest.mark.parametrize("wrong", [KeyError("a bug"), Retryable("away")])
def test_a_duty_outlives_its_failures(wrong: Exception) -> None:
    failing_receive(wrong)


@virtual
async def failing_receive(rig: Rig, wrong: Exception) -> None:
    plain = in_a_row(1)
    faults = Faults(rig.engine)
    receive = faults.queues.receive
    failures = 3

    async def failing(*arguments: Any) -> Any:
        nonlocal failures
        if failures:
            failures -= 1
            raise wrong
        return await receive(*arguments)

    faults.queues.receive = failing  # type: ignore[assignment]  # the same port, failing three times
    run_id = await rig.submit(plain)
    rig.start(plain, faults=faults)
    await rig.until_ended(run_id, state=SUCCEEDED)
