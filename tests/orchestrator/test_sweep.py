"""The sweep: dead runners, lost dispatches and lost hints are found, and a run is fenced off before its slot is freed."""

from __future__ import annotations

import json

import pytest
from tests.orchestrator.faults import FaultyEngine
from tests.orchestrator.world import World, hints

from penstock_backbone.errors import Retryable
from penstock_backbone.inventory import DISPATCH_QUEUE, SESSIONS
from penstock_backbone.records.runs import claim_run, commit_facts, fact, run_key
from penstock_backbone.records.sessions import (
    LEASE_SECONDS,
    announce_workflow,
    beat,
    bury_session,
    drain_session,
    session_key,
)
from penstock_backbone.records.verbs import ask_to_cancel
from penstock_backbone.vocabulary import Delete, Key, Refused, Update
from penstock_orchestrator.bootstrap import Parts
from penstock_orchestrator.domain.watchlist import CLAIM_SECONDS, UNCLAIMED_MAX
from penstock_orchestrator.handlers.sweep import ATTEMPTS_MAX, EVERY_SECONDS, HOOK_ATTEMPTS_MAX

pytestmark = pytest.mark.anyio

RUN = "run_0001"


async def round_of(world: World, parts: Parts, seconds: float = EVERY_SECONDS) -> None:
    """Time passes; the sweep looks, and the admission follows its hints."""
    world.clock.elapsed += seconds
    found = await parts.sweep.turn()
    await parts.admission.turn(found)


async def rounds(world: World, parts: Parts, seconds: float) -> None:
    for _ in range(round(seconds / EVERY_SECONDS)):
        await round_of(world, parts)


async def admitted(world: World, parts: Parts, count: int = 1) -> None:
    projects = [await world.submit(number) for number in range(1, count + 1)]
    await parts.admission.turn(hints(projects=projects))


async def dispatched(world: World) -> list[tuple[str, int]]:
    messages = await world.engine.queues.receive(DISPATCH_QUEUE, 100, 0.0)
    bodies = [json.loads(message.body) for message in messages]
    return [(body["run"], body["fence"]) for body in bodies]


# --- dead runners --------------------------------------------------------------------------------------------


async def test_the_runs_of_a_runner_that_was_seen_dying_start_again_within_a_second() -> None:
    world = World()
    parts = world.orchestrator()
    await admitted(world, parts)
    await world.open_session("ses_1")
    await world.claim(RUN)
    await rounds(world, parts, 3)
    assert (await world.run(RUN))["state"] == "running"
    await world.write(bury_session("ses_1"))
    await round_of(world, parts)
    run = await world.run(RUN)
    assert (run["state"], run["fence"]) == ("queued", 1)
    assert [entry["t"] for entry in run["facts"].values()][-1] == "RunRequeued"
    assert world.tokens()[RUN]["f"] == 2, "granted anew, under a higher fence"


async def test_a_runner_that_died_right_after_its_claim_is_found_as_fast() -> None:
    world = World()
    parts = world.orchestrator()
    await admitted(world, parts)
    await world.open_session("ses_1")
    await world.claim(RUN)
    await world.write(bury_session("ses_1"))
    await round_of(world, parts)
    assert world.tokens()[RUN]["f"] == 2


async def test_a_silent_runner_loses_its_runs_after_its_lease_and_not_before() -> None:
    world = World()
    parts = world.orchestrator()
    await admitted(world, parts)
    await world.open_session("ses_1")
    await world.claim(RUN)
    await rounds(world, parts, LEASE_SECONDS)
    assert (await world.run(RUN))["state"] == "running"
    await rounds(world, parts, 1)
    assert (await world.run(RUN))["state"] == "queued"
    (session,) = await world.engine.tables.get([session_key("ses_1")])
    assert session is None or session["st"] == "dead"


async def test_a_runner_that_is_heard_keeps_its_runs_for_ever_even_while_it_drains() -> None:
    world = World()
    parts = world.orchestrator()
    await admitted(world, parts)
    await world.open_session("ses_1")
    await world.claim(RUN)
    for number in range(1, 40):
        await world.write(beat("ses_1", hb=number))
        await rounds(world, parts, 2)
        if number == 20:
            await world.write(drain_session("ses_1"))
    assert (await world.run(RUN))["state"] == "running"


async def test_nothing_of_the_old_runner_can_be_written_once_it_was_fenced_off() -> None:
    world = World()
    parts = world.orchestrator()
    await admitted(world, parts)
    await world.open_session("ses_1")
    run = await world.claim(RUN)
    await world.write(bury_session("ses_1"))
    await round_of(world, parts)
    late = commit_facts(RUN, fence=1, seq=run["seq"], facts=[fact("StageStarted", 1)], results={}, at=1)
    (outcome,) = await world.engine.tables.write([late])
    assert isinstance(outcome, Refused)


async def test_a_run_that_lost_its_runner_too_often_ends_and_frees_its_slot() -> None:
    world = World()
    parts = world.orchestrator()
    await admitted(world, parts)
    for _ in range(ATTEMPTS_MAX):
        await lost(world, parts)
    run = await world.run(RUN)
    assert (run["state"], run["attempt"]) == ("failed", ATTEMPTS_MAX)
    assert run["facts"][str(run["seq"])]["d"]["error"] == "RunnerLost"
    assert world.tokens() == {}


async def test_a_run_with_a_hook_is_begun_again_to_tell_it_and_ends_when_that_takes_the_runner_down_too() -> None:
    world = World()
    parts = world.orchestrator()
    await admitted(world, parts)
    for _ in range(ATTEMPTS_MAX):
        assert "given_up" not in await world.run(RUN)
        await lost(world, parts, hooked=True)
    why = f"It was begun {ATTEMPTS_MAX} times, and each time its runner was lost."
    for _ in range(HOOK_ATTEMPTS_MAX):
        run = await world.run(RUN)
        assert (run["state"], run["given_up"]) == ("queued", [ATTEMPTS_MAX, why])
        told = run["facts"][str(run["seq"])]
        assert (told["t"], told["d"]["reason"]) == (
            "RunRequeued",
            "its runner was lost too often: only its on_failure is still called",
        )
        await lost(world, parts, hooked=True)
    run = await world.run(RUN)
    assert run["state"] == "failed"
    assert run["facts"][str(run["seq"])]["d"] == {
        "error": "RunnerLost",
        "message": f"{why} It was begun 3 times more to call its on_failure, and its runner was lost again.",
    }
    assert world.tokens() == {}


async def test_a_run_that_somebody_cancels_tells_no_hook_when_its_runner_was_lost_too_often() -> None:
    world = World()
    parts = world.orchestrator()
    await admitted(world, parts)
    for _ in range(ATTEMPTS_MAX):
        await lost(world, parts, hooked=True)
    run = await world.claim(RUN, fence=world.tokens()[RUN]["f"], session="ses_x")
    await world.write(ask_to_cancel(run, reason="enough", at=world.now_ms))
    await round_of(world, parts)
    assert (await world.run(RUN))["state"] == "cancelled"


async def lost(world: World, parts: Parts, *, hooked: bool = False) -> None:
    """A runner claims the run and is seen dying."""
    fence = world.tokens()[RUN]["f"]
    session = f"ses_{fence}"
    await world.open_session(session)
    await world.claim(RUN, fence=fence, session=session, hooked=hooked)
    await world.write(bury_session(session))
    await round_of(world, parts)


async def test_a_run_whose_runner_died_is_resumed_before_those_behind_it() -> None:
    """However long they take: its slot is still its own."""
    world = World()
    parts = world.orchestrator()
    await world.limit(fleet=1)
    await admitted(world, parts, 3)
    await lost(world, parts)
    tokens = world.tokens()
    assert (tokens[RUN]["st"], tokens[RUN]["f"]) == ("held", 2)
    assert [tokens[other]["f"] for other in ("run_0002", "run_0003")] == [0, 0]


async def test_a_grant_that_was_taken_back_lets_others_go_first() -> None:
    """Where nobody can take it up it would hold its slot for ever."""
    world = World()
    parts = world.orchestrator()
    await world.limit(fleet=1)
    await admitted(world, parts, 2)
    await world.open_session("ses_1")
    await rounds(world, parts, 2)
    for _ in range(UNCLAIMED_MAX):
        world.clock.elapsed += CLAIM_SECONDS
        await world.write(beat("ses_1", hb=round(world.clock.elapsed)))
        await round_of(world, parts)
    assert world.tokens()["run_0002"]["st"] == "held"
    assert world.tokens()[RUN]["st"] == "waiting"


async def test_a_run_that_ended_in_the_very_moment_its_runner_died_stays_ended() -> None:
    world = World()
    parts = world.orchestrator()
    await admitted(world, parts)
    await world.open_session("ses_1")
    await world.claim(RUN)
    await world.finish(RUN)
    await world.write(bury_session("ses_1"))
    await round_of(world, parts)
    assert (await world.run(RUN))["state"] == "succeeded"
    assert world.tokens() == {}


async def test_the_runs_of_a_session_that_is_gone_are_taken_back() -> None:
    world = World()
    parts = world.orchestrator()
    await admitted(world, parts)
    await world.open_session("ses_1")
    await world.claim(RUN)
    await world.write(Delete(session_key("ses_1")))
    await rounds(world, parts, 2)
    assert world.tokens()[RUN]["f"] == 2


async def test_a_dead_session_is_forgotten_once_no_run_names_it() -> None:
    world = World()
    parts = world.orchestrator()
    await admitted(world, parts)
    await world.open_session("ses_1")
    await world.claim(RUN)
    await world.write(bury_session("ses_1"))
    await rounds(world, parts, 2)
    assert (await world.engine.tables.get([session_key("ses_1")])) == [None]


async def test_a_new_orchestrator_forgets_no_dead_session_before_it_knows_the_runs() -> None:
    world = World()
    await admitted(world, world.orchestrator())
    await world.open_session("ses_1")
    await world.claim(RUN)
    await world.write(bury_session("ses_1"))
    parts = world.orchestrator()
    await parts.sweep.turn()
    assert (await world.engine.tables.get([session_key("ses_1")])) != [None]
    await parts.admission.turn(hints(everything=True))
    await rounds(world, parts, 2)
    assert (await world.engine.tables.get([session_key("ses_1")])) == [None]


async def test_the_catalog_beside_the_sessions_is_left_alone() -> None:
    world = World()
    parts = world.orchestrator()
    catalog = Key(SESSIONS, "CATALOG", "build")
    await world.open_session("ses_1")
    await world.write(bury_session("ses_1"))
    await world.write(announce_workflow("build", version="1", stages=[], at=1))
    await rounds(world, parts, 2)
    assert (await world.engine.tables.get([catalog])) != [None]


async def test_a_damaged_run_keeps_its_token_and_does_not_hold_up_the_others() -> None:
    world = World()
    parts = world.orchestrator()
    await admitted(world, parts, 3)
    await world.open_session("ses_1")
    for number in (1, 2):
        await world.claim(f"run_000{number}")
    await world.write(Update(run_key("run_0001"), {"at": 1}, remove=("attempt",)))
    await world.write(Update(run_key("run_0003"), {"state": "dreaming"}))
    await world.write(bury_session("ses_1"))
    await rounds(world, parts, 2)
    assert {run: token["f"] for run, token in world.tokens().items()} == {"run_0001": 1, "run_0002": 2, "run_0003": 1}


# --- lost dispatches and lost hints ---------------------------------------------------------------------------


async def test_a_lost_dispatch_is_sent_again_and_at_last_granted_anew() -> None:
    world = World()
    parts = world.orchestrator()
    await world.open_session("ses_1")
    await admitted(world, parts)
    seen: list[tuple[str, int]] = []
    for heartbeat in range(1, 40):
        await world.write(beat("ses_1", hb=heartbeat))
        await round_of(world, parts)
        seen += await dispatched(world)
        if (world.tokens()[RUN]["f"]) == 2:
            break
    assert seen == [(RUN, 1), (RUN, 1)]
    assert (await world.run(RUN))["fence"] == 1, "the old grant can no longer be claimed"
    stale = claim_run(await world.run(RUN), fence=1, session="ses_1", version="1", stages=[], first=[], at=1)
    (outcome,) = await world.engine.tables.write([stale])
    assert isinstance(outcome, Refused)
    assert world.clock.elapsed == pytest.approx(3 * CLAIM_SECONDS, abs=1.5)


async def test_without_runners_nothing_is_sent_again_and_nothing_is_taken_back() -> None:
    world = World()
    parts = world.orchestrator()
    await admitted(world, parts)
    await rounds(world, parts, 120)
    assert await dispatched(world) == []
    assert world.tokens()[RUN]["f"] == 1


async def test_a_slot_whose_end_nobody_was_told_of_is_found_and_freed() -> None:
    world = World()
    parts = world.orchestrator()
    await world.limit(fleet=1)
    await world.open_session("ses_1")
    await admitted(world, parts, 2)
    await world.claim(RUN)
    for number in range(1, 30):
        await world.write(beat("ses_1", hb=number))
        await round_of(world, parts)
        if number == 4:
            await world.finish(RUN)
    assert world.held() == {"run_0002"}


async def test_a_token_whose_run_is_gone_is_released() -> None:
    world = World()
    parts = world.orchestrator()
    await admitted(world, parts)
    await world.write(Delete(Key("runs", RUN, "RUN")))
    await rounds(world, parts, 2)
    assert world.tokens() == {}


# --- faults ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["query", "get", "write"])
@pytest.mark.parametrize("kind", ["lose_request", "lose_response"])
async def test_a_sweep_that_failed_is_made_good_by_the_next(call: str, kind: str) -> None:
    world = World()
    engine = FaultyEngine(world.engine)
    parts = world.orchestrator(engine)
    await admitted(world, parts)
    await world.open_session("ses_1")
    await world.claim(RUN)
    await rounds(world, parts, 2)
    await world.write(bury_session("ses_1"))
    getattr(engine.tables, kind).append(call)
    with pytest.raises(Retryable):
        await round_of(world, parts)
    await rounds(world, parts, 1)
    assert world.tokens()[RUN]["f"] == 2


async def test_a_new_orchestrator_gives_a_living_runner_a_whole_lease() -> None:
    world = World()
    parts = world.orchestrator()
    await admitted(world, parts)
    await world.open_session("ses_1")
    await world.claim(RUN)
    await rounds(world, parts, LEASE_SECONDS - 1)
    second = world.orchestrator()
    await second.admission.turn(hints())
    await rounds(world, second, LEASE_SECONDS - 1)
    assert (await world.run(RUN))["state"] == "running"


async def test_a_sessions_heartbeat_that_comes_in_the_last_moment_saves_it() -> None:
    world = World()
    engine = FaultyEngine(world.engine)
    parts = world.orchestrator(engine)
    await world.open_session("ses_1")
    await rounds(world, parts, LEASE_SECONDS)
    query = engine.tables.query

    async def query_then_beat(*given: object) -> object:
        page = await query(*given)  # type: ignore[arg-type]  # passed through
        await world.write(Update(session_key("ses_1"), {"hb": 7}))
        return page

    engine.tables.query = query_then_beat  # type: ignore[assignment, method-assign]  # a race made by hand
    await round_of(world, parts)
    (session,) = await world.engine.tables.get([session_key("ses_1")])
    assert session is not None
    assert session["st"] == "live"
