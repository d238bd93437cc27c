"""Runs that rest and return: their slots are freed, their timers ring, and each comes back with one new token."""

from __future__ import annotations

import pytest
from tests.orchestrator.faults import FaultyEngine
from tests.orchestrator.test_sweep import RUN, admitted, rounds
from tests.orchestrator.world import World, hints, run_of

from penstock_backbone.inventory import RUNS
from penstock_backbone.reading import read_whole
from penstock_backbone.records import verbs
from penstock_backbone.records.runs import PAUSED, QUEUED, WAITING, RunItem, as_run, end_run, fact, run_key
from penstock_backbone.records.sessions import bury_session
from penstock_backbone.records.waits import RETURNS, RETURNS_DUE, TIMERS_PK, TIMERS_READ_MAX, TIMES, set_timer
from penstock_backbone.vocabulary import Key, Page, Put, Query, StreamRecord
from penstock_orchestrator.bootstrap import Parts
from penstock_orchestrator.domain.hints import Hints, glance
from penstock_orchestrator.handlers.alarm import EVERY_SECONDS

pytestmark = pytest.mark.anyio


async def rests(world: World, run_id: str, state: str = WAITING, due: int | None = None) -> RunItem:
    """As its runner writes it."""
    run = await world.run(run_id)
    told = (
        fact("RunPaused", world.now_ms, reason="x") if state == PAUSED else fact("RunWaiting", world.now_ms, stages=[])
    )
    end = end_run(
        run, state=state, fence=run["fence"], seq=run["seq"], facts=[told], results={}, at=world.now_ms, due=due
    )
    await world.write(end, *([set_timer(run_id, due=due, seq=end.set["seq"])] if due is not None else []))
    return await world.run(run_id)


def due(run: RunItem) -> RunItem:
    return as_run({**run, "due": 1})


async def running(world: World, parts: Parts) -> None:
    await world.open_session("ses_1")
    await admitted(world, parts)
    await world.claim(RUN)


async def timers(world: World) -> int:
    return len(await read_whole(world.engine.tables, Query(RUNS, TIMERS_PK)))


async def test_a_run_that_rests_frees_its_slot_and_comes_back_with_a_token_above_all_earlier_ones() -> None:
    world = World()
    await world.limit(fleet=1)
    parts = world.orchestrator()
    await running(world, parts)
    other = await world.submit(2)
    await rests(world, RUN)
    await parts.admission.turn(Hints(runs={RUN}, projects={other: run_of(other)}))
    assert world.held() == {run_of(other)}
    assert RUN not in world.tokens()

    run = await world.run(RUN)
    await world.write(verbs.wake(due(run), kind="timer", at=world.now_ms))
    await parts.admission.turn(Hints(returning={RUN}))
    run = await world.run(RUN)
    assert run["state"] == QUEUED
    assert "returning" not in run
    token = world.tokens()[RUN]
    assert (token["st"], token["f"], run["fence"]) == ("waiting", 2, 2)
    await world.finish(run_of(other))
    await parts.admission.turn(hints(runs=[run_of(other)]))
    assert world.tokens()[RUN]["f"] == 3
    await world.claim(RUN, fence=3)


@pytest.mark.parametrize("seen", ["on the bus", "in the records"])
async def test_a_run_that_returns_before_its_slot_was_freed_gets_it_anew_in_one_turn(seen: str) -> None:
    world = World()
    await world.limit(fleet=1)
    parts = world.orchestrator()
    await running(world, parts)
    await rests(world, RUN, PAUSED)
    await world.write(verbs.resume(await world.run(RUN), at=world.now_ms))
    item = await world.run(RUN)
    record = [each for each in world.engine.storage.feed if each.item == item][-1]
    seen_so = Hints(returning={RUN}) if seen == "on the bus" else glance([StreamRecord("1", record.key, record.item)])
    assert seen_so.returning == {RUN}
    await parts.admission.turn(seen_so)
    assert (world.tokens()[RUN]["st"], world.tokens()[RUN]["f"]) == ("held", 3)
    assert (await world.run(RUN)).get("returning") is None


async def test_a_granted_run_that_was_paused_and_resumed_before_it_was_claimed_refuses_the_old_grant() -> None:
    world = World()
    parts = world.orchestrator()
    await admitted(world, parts)
    await world.write(verbs.pause_resting(await world.run(RUN), reason="x", at=world.now_ms))
    await world.write(verbs.resume(await world.run(RUN), at=world.now_ms))
    await parts.admission.turn(Hints(leaving={RUN}, returning={RUN}))
    run = await world.run(RUN)
    assert world.tokens()[RUN]["f"] == run["fence"] + 1
    with pytest.raises(AssertionError):
        await world.claim(RUN, fence=1)
    await world.claim(RUN, fence=2)


async def test_an_old_image_of_a_run_that_is_over_does_not_free_the_slot_of_its_retry() -> None:
    world = World()
    parts = world.orchestrator()
    await running(world, parts)
    await world.finish(RUN, state="failed")
    old = await world.run(RUN)
    await parts.admission.turn(Hints(ended={RUN: old}))
    await world.write(verbs.retry(old, from_stage=None, edited={}, forget=(), digest="d", at=world.now_ms))
    await parts.admission.turn(Hints(returning={RUN}))
    assert world.tokens()[RUN]["st"] == "held"
    await parts.admission.turn(Hints(ended={RUN: old}, leaving={RUN}))
    assert world.tokens()[RUN]["st"] == "held"


async def test_an_old_reading_of_a_run_that_returns_does_not_take_its_new_token_out_of_the_line() -> None:
    world = World()
    parts = world.orchestrator()
    await running(world, parts)
    await rests(world, RUN, PAUSED)
    await parts.admission.turn(hints(runs=[RUN]))
    await world.limit(fleet=0)
    await world.write(verbs.resume(await world.run(RUN), at=world.now_ms))
    old = await world.run(RUN)
    await parts.admission.turn(Hints(returning={RUN}, limits=True))
    assert world.tokens()[RUN]["f"] == old["fence"]
    await parts.admission.turn(Hints(ended={RUN: old}))
    assert world.tokens()[RUN]["st"] == "waiting"


async def test_two_orchestrators_make_one_token() -> None:
    world = World()
    await world.limit(fleet=0)
    one, two = world.orchestrator(), world.orchestrator()
    await world.limit(fleet=1)
    await running(world, one)
    await two.admission.turn(hints(everything=True))
    await rests(world, RUN)
    await one.admission.turn(hints(runs=[RUN]))
    await world.limit(fleet=0)
    await world.write(verbs.wake(due(await world.run(RUN)), kind="timer", at=world.now_ms))
    for parts in (two, one, two):
        turn = await parts.admission.turn(Hints(returning={RUN}, limits=True))
        while not turn.finished:
            turn = await parts.admission.turn(Hints(returning={RUN}, limits=True))
    assert world.tokens()[RUN]["st"] == "waiting"
    await one.admission.turn(hints(everything=True))
    assert one.admission.shards[0].gate.waiting.keys() == two.admission.shards[0].gate.waiting.keys()


async def test_a_token_whose_answer_was_lost_is_made_once() -> None:
    world = World()
    engine = FaultyEngine(world.engine)
    parts = world.orchestrator(engine)
    await running(world, parts)
    await rests(world, RUN)
    await parts.admission.turn(hints(runs=[RUN]))
    await world.write(verbs.wake(due(await world.run(RUN)), kind="timer", at=world.now_ms))
    engine.tables.lose_response = ["transact"]
    with pytest.raises(Exception, match="lost"):
        await parts.admission.turn(Hints(returning={RUN}))
    await parts.admission.turn(Hints(returning={RUN}, everything=True))
    assert world.tokens()[RUN]["st"] == "held"


async def test_a_timer_rings_when_it_is_due_and_once() -> None:
    world = World()
    parts = world.orchestrator()
    await running(world, parts)
    await rests(world, RUN, due=world.now_ms + 60_000)
    await rounds(world, parts, 2)
    assert (await world.run(RUN))["state"] == WAITING
    assert world.tokens() == {}
    world.clock.elapsed += 60
    await rounds(world, parts, 2)
    run = await world.run(RUN)
    assert run["state"] == QUEUED
    assert run["passed"] <= world.now_ms
    assert world.tokens()[RUN]["st"] == "held"
    assert await timers(world) == 0


async def test_a_timer_of_a_wait_that_is_over_is_forgotten_and_a_later_one_kept() -> None:
    world = World()
    parts = world.orchestrator()
    await running(world, parts)
    await rests(world, RUN, due=world.now_ms + 60_000)
    await rounds(world, parts, 1)
    await world.write(verbs.wake(await world.run(RUN), kind="signal", at=world.now_ms))
    await parts.admission.turn(Hints(returning={RUN}))
    fence = world.tokens()[RUN]["f"]
    await world.claim(RUN, fence=fence)
    await rests(world, RUN, due=world.now_ms + 3_600_000)
    assert await timers(world) == 2
    world.clock.elapsed += 61
    await rounds(world, parts, 1)
    assert (await world.run(RUN))["state"] == WAITING
    assert await timers(world) == 1


async def test_a_run_that_returns_and_of_which_nobody_hears_is_found() -> None:
    world = World()
    parts = world.orchestrator()
    await running(world, parts)
    await rests(world, RUN, PAUSED)
    back = verbs.resume(await world.run(RUN), at=world.now_ms)
    await world.write(back, set_timer(RUN, due=RETURNS_DUE, seq=back.set["seq"]))
    world.clock.elapsed += EVERY_SECONDS
    await rounds(world, parts, 2)
    assert world.tokens()[RUN]["st"] == "held"
    assert await timers(world) == 0


async def test_a_run_whose_return_stands_as_older_versions_wrote_it_is_found() -> None:
    world = World()
    parts = world.orchestrator()
    await running(world, parts)
    await rests(world, RUN, PAUSED)
    back = verbs.resume(await world.run(RUN), at=world.now_ms)
    key = Key(RUNS, TIMERS_PK, f"{0:015d}#{RUN}#{back.set['seq']}")
    await world.write(back, Put(key, {"run": RUN, "due": 0}))
    world.clock.elapsed += EVERY_SECONDS
    await rounds(world, parts, 2)
    assert world.tokens()[RUN]["st"] == "held"
    assert await timers(world) == 0


async def test_runs_that_return_in_any_number_delay_no_timer_and_no_timers_delay_them() -> None:
    world = World()
    parts = world.orchestrator()
    await running(world, parts)
    await rests(world, RUN, due=world.now_ms + 60_000)
    world.clock.elapsed += 60
    for number in range(4 * TIMERS_READ_MAX):
        await world.write(set_timer(f"run_a{number}", due=RETURNS_DUE, seq=1))
        await world.write(set_timer(f"run_b{number}", due=world.now_ms, seq=1))
    assert (await parts.sweep.turn()).returning == {RUN}
    assert await timers(world) == 6 * TIMERS_READ_MAX + 2


@pytest.mark.parametrize("due", [RETURNS_DUE, 1])
async def test_runs_that_return_and_get_no_token_do_not_hide_those_behind_them(due: int) -> None:
    world = World()
    parts = world.orchestrator()
    await running(world, parts)
    await rests(world, RUN, PAUSED)
    back = verbs.resume(await world.run(RUN), at=world.now_ms)
    for number in range(2 * TIMERS_READ_MAX):
        stuck = f"run_0000{number:03d}"
        await world.write(Put(run_key(stuck), {"state": QUEUED, "returning": True}), set_timer(stuck, due=due, seq=1))
    await world.write(back, set_timer(RUN, due=due, seq=back.set["seq"]))
    world.clock.elapsed += EVERY_SECONDS
    await rounds(world, parts, 3)
    assert world.tokens()[RUN]["st"] == "held"
    await rounds(world, parts, 3)
    assert await timers(world) == 2 * TIMERS_READ_MAX


async def test_a_run_that_was_to_be_paused_is_paused_when_its_runner_is_lost() -> None:
    world = World()
    parts = world.orchestrator()
    await running(world, parts)
    run = await world.run(RUN)
    await world.write(verbs.ask_to_pause(run, reason="enough", at=world.now_ms), bury_session("ses_1"))
    await rounds(world, parts, 2)
    run = await world.run(RUN)
    assert (run["state"], run.get("pause")) == (PAUSED, None)
    assert world.tokens() == {}


async def test_the_timers_are_looked_at_once_a_second_however_often_the_sweep_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    engine = FaultyEngine(world.engine)
    parts = world.orchestrator(engine)
    asked: dict[str, list[float]] = {TIMES: [], RETURNS: []}
    query = engine.tables.query

    async def counted(asking: Query) -> Page:
        if asking.pk == TIMERS_PK:
            asked[asking.prefix].append(world.clock.elapsed - begun)
        return await query(asking)

    monkeypatch.setattr(engine.tables, "query", counted)
    begun = world.clock.elapsed
    for _ in range(40):
        await parts.sweep.turn()
        world.clock.elapsed += 0.25
    seconds = [float(second) for second in range(10)]
    assert asked == {TIMES: seconds, RETURNS: seconds}


async def test_while_more_timers_are_due_than_one_look_reads_every_turn_of_the_sweep_looks() -> None:
    world = World()
    parts = world.orchestrator()
    for number in range(2 * TIMERS_READ_MAX + 1):
        await world.write(set_timer(f"run_{number}", due=world.now_ms, seq=1))
    await parts.sweep.turn()
    await parts.sweep.turn()
    assert await timers(world) == 1
    await parts.sweep.turn()
    assert await timers(world) == 0


@pytest.mark.parametrize("lost", [[], ["write_after"]], ids=["told", "not told"])
async def test_a_run_that_is_back_at_once_gets_a_slot_though_nobody_knows_that_its_old_token_went(
    lost: list[str],
) -> None:
    """The end of the old token may still be on the redo list, under the same key and a lower fence."""
    world = World()
    engine = FaultyEngine(world.engine)
    parts = world.orchestrator(engine)
    await world.limit(fleet=1)
    await running(world, parts)
    await rests(world, RUN)
    await world.write(verbs.wake(due(await world.run(RUN)), kind="timer", at=world.now_ms))
    engine.tables.lose_response.extend(lost)
    await parts.admission.turn(Hints(runs={RUN}, returning={RUN}))
    assert world.held() == {RUN}
    assert parts.admission.shards.held_of(RUN) is not None
