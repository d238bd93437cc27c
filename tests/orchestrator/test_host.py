"""All duties together, over the in-memory engine in real time: from a written project to a freed slot."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
from collections.abc import AsyncIterator, Sequence

import pytest
from tests.orchestrator.faults import FaultyEngine
from tests.orchestrator.world import CountedIds, EvenChance, World, hints, run_of

from penstock_backbone.errors import Retryable
from penstock_backbone.inventory import ADMISSION_QUEUE, DISPATCH_QUEUE, LIMITS, LIMITS_PK
from penstock_backbone.memory import MemoryEngine
from penstock_backbone.records.limits import board_key
from penstock_backbone.records.projects import project_key
from penstock_backbone.records.sessions import bury_session, tell_of_burial
from penstock_backbone.records.tokens import all_tokens
from penstock_backbone.system import SystemClock
from penstock_backbone.telemetry import silent
from penstock_backbone.vocabulary import Outgoing, Page, Query, Update
from penstock_orchestrator import bootstrap
from penstock_orchestrator.bootstrap import Parts, Surroundings, direct_host
from penstock_orchestrator.domain.hints import glance
from penstock_orchestrator.handlers import admission_queue, reload, sweep
from penstock_orchestrator.handlers.admission import ENQUEUED_MAX
from penstock_orchestrator.handlers.admission_queue import DELETE_SECONDS, AdmissionQueue
from penstock_orchestrator.host import Duty, Host

pytestmark = pytest.mark.anyio

SECONDS_MAX = 10.0


async def never(*_: object) -> None:
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def running(world: World, *, deaf: bool = False) -> AsyncIterator[Host]:
    """The host on this world's engine, in real time. `deaf`: no message of a queue ever arrives."""
    clock = SystemClock()
    world.engine = MemoryEngine(clock, CountedIds())
    if deaf:
        world.engine.queues.receive = never  # type: ignore[assignment, method-assign]  # a fault made by hand
    world.clock = clock  # type: ignore[assignment]  # real time, for once
    given = Surroundings(clock, CountedIds(), EvenChance(), silent())
    host = direct_host(Parts.on(world.engine, given), world.engine, given)
    task = asyncio.create_task(host.run())
    try:
        yield host
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await host.leave()


async def execute(world: World, count: int) -> list[str]:
    """A runner that claims and ends each run it is sent, until it has ended `count` of them."""
    done: list[str] = []
    async with asyncio.timeout(SECONDS_MAX):
        while len(done) < count:
            for message in await world.engine.queues.receive(DISPATCH_QUEUE, 10, 1.0):
                body = json.loads(message.body)
                await world.claim(body["run"], fence=body["fence"])
                await world.finish(body["run"])
                await world.engine.queues.delete(DISPATCH_QUEUE, [message.receipt])
                done.append(body["run"])
    return done


async def settled(world: World) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while world.tokens():
            await world.clock.sleep(0.02)


async def test_projects_that_are_written_get_executed_under_the_limit_and_leave_nothing_behind() -> None:
    world = World()
    async with running(world):
        await world.limit(fleet=3)
        await world.clock.sleep(0.05)
        projects = [await world.submit(number) for number in range(1, 13)]
        await world.open_session("ses_1")
        done = await execute(world, 12)
        await settled(world)
    assert sorted(done) == [run_of(project) for project in projects]
    assert world.most_held() <= 3
    (board,) = await world.engine.tables.get([board_key("acme")])
    assert board is not None
    assert (board["waiting"], board["held"], board["places"]) == (0, 0, []), "a board must not stay stale"
    assert await world.engine.queues.receive(ADMISSION_QUEUE, 10, 0.0) == []


async def test_a_raised_limit_is_obeyed_at_once() -> None:
    world = World()
    async with running(world):
        await world.limit(fleet=1)
        await world.clock.sleep(0.05)
        for number in range(1, 5):
            await world.submit(number)
        async with asyncio.timeout(SECONDS_MAX):
            while len(world.tokens()) < 4:
                await world.clock.sleep(0.01)
        assert len(world.held()) == 1
        await world.limit(fleet=4)
        async with asyncio.timeout(2.0):
            while len(world.held()) < 4:
                await world.clock.sleep(0.01)


async def test_hints_that_arrive_during_a_turn_are_taken_together_in_the_next() -> None:
    world = World()
    parts = world.orchestrator()
    queue = AdmissionQueue(world.engine.queues, parts.admission, world.clock)
    projects = [await world.submit(number) for number in range(1, 31)]
    await world.limit(fleet=50)
    for project in projects:
        body = {"detail-type": "ProjectCreated", "detail": {"metadata": {"project_id": project, "run_id": "r"}}}
        await world.engine.queues.send(ADMISSION_QUEUE, [Outgoing(json.dumps(body))])
    await queue.receive(0.0)
    queue.hint(hints(limits=True))
    await queue.decide()
    assert len(world.held()) == 30
    await queue.delete()
    world.clock.elapsed += 3600
    assert await world.engine.queues.receive(ADMISSION_QUEUE, 10, 0.0) == []


async def test_messages_that_are_done_within_a_moment_are_deleted_together() -> None:
    world = World()
    parts = world.orchestrator()
    deleted: list[int] = []

    class Queues:
        receive = world.engine.queues.receive

        async def delete(self, queue: str, receipts: Sequence[str]) -> None:
            deleted.append(len(receipts))
            await world.engine.queues.delete(queue, receipts)

    queue = AdmissionQueue(Queues(), parts.admission, world.clock)  # type: ignore[arg-type]  # it has only what is used here
    for number in (1, 2):
        project = await world.submit(number)
        body = {"detail-type": "ProjectCreated", "detail": {"metadata": {"project_id": project, "run_id": "r"}}}
        await world.engine.queues.send(ADMISSION_QUEUE, [Outgoing(json.dumps(body))])
        await queue.receive(0.0)
        await queue.decide()
    began = world.clock.elapsed
    await queue.delete()
    assert world.clock.elapsed - began == pytest.approx(DELETE_SECONDS)
    assert deleted == [2]


async def test_a_message_is_deleted_only_when_what_it_points_at_is_done() -> None:
    world = World()
    parts = world.orchestrator()
    queue = AdmissionQueue(world.engine.queues, parts.admission, world.clock)
    project = await world.submit(1)
    body = {"detail-type": "ProjectCreated", "detail": {"metadata": {"project_id": project, "run_id": "r"}}}
    bad = {"detail-type": "ProjectCreated"}
    await world.engine.queues.send(ADMISSION_QUEUE, [Outgoing(json.dumps(body)), Outgoing(json.dumps(bad))])
    turn, fails = parts.admission.turn, True

    async def failing_turn(*given: object) -> object:
        if fails:
            raise Retryable("the table is throttled: try again")
        return await turn(*given)  # type: ignore[arg-type]  # passed through

    parts.admission.turn = failing_turn  # type: ignore[assignment, method-assign]  # a fault made by hand
    await queue.receive(0.0)
    with pytest.raises(Retryable):
        await queue.decide()
    await queue.delete_done()
    fails = False
    await queue.decide()
    assert world.held() == {run_of(project)}
    await queue.delete_done()
    world.clock.elapsed += 3600
    (left,) = await world.engine.queues.receive(ADMISSION_QUEUE, 10, 0.0)
    assert json.loads(left.body) == bad, "it stays until the queue puts it aside"


async def test_messages_are_deleted_as_their_projects_are_enqueued_and_those_of_damaged_ones_are_not() -> None:
    world = World()
    queue = AdmissionQueue(world.engine.queues, world.orchestrator().admission, world.clock)
    await world.limit(fleet=0)
    projects = [await world.submit(number) for number in range(1, ENQUEUED_MAX + 50)]
    await world.write(Update(project_key(projects[0]), {"broken": True}, remove=("workflow",)))
    for project in projects:
        body = {
            "detail-type": "ProjectCreated",
            "detail": {"metadata": {"project_id": project, "run_id": run_of(project)}},
        }
        await world.engine.queues.send(ADMISSION_QUEUE, [Outgoing(json.dumps(body))])
    for _ in range(3):
        await queue.receive(0.0)
    enqueued = []
    for _ in range(2):
        await queue.decide()
        await queue.delete_done()
        enqueued.append(len(world.tokens()))
    assert enqueued == [ENQUEUED_MAX - 1, len(projects) - 1]
    world.clock.elapsed += 3600
    (left,) = await world.engine.queues.receive(ADMISSION_QUEUE, 10, 0.0)
    assert projects[0] in left.body


async def test_items_that_the_records_show_are_not_kept_while_too_many_are_undone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission_queue, "UNDONE_ITEMS_MAX", 3)
    world = World()
    queue = AdmissionQueue(world.engine.queues, world.orchestrator().admission, world.clock)
    await world.limit(fleet=0)
    for number in range(1, 6):
        await world.submit(number)
    for record in world.engine.storage.feed:
        queue.hint(glance([record]))
    await queue.decide()
    assert len(world.tokens()) == 3, "the bus tells of the others"


async def test_a_duty_that_fails_is_repeated_with_growing_pauses_and_stops_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    counts = {"bad": 0, "good": 0}
    pauses: list[float] = []

    async def bad() -> None:
        counts["bad"] += 1
        pauses.append(world.clock.elapsed)
        if counts["bad"] > 5:
            await asyncio.Event().wait()
        raise Retryable("it does not answer") if counts["bad"] % 2 else ValueError("a defect")

    async def good() -> None:
        counts["good"] += 1
        if counts["good"] > 100:
            await asyncio.Event().wait()
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)

    host = Host([Duty("bad", bad), Duty("good", good)], [], world.clock, EvenChance())
    with caplog.at_level(logging.WARNING):
        task = asyncio.create_task(host.run())
        async with asyncio.timeout(SECONDS_MAX):
            while counts["good"] <= 100 or counts["bad"] <= 5:
                await asyncio.get_running_loop().run_in_executor(None, lambda: None)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    waits = [after - before for before, after in itertools.pairwise(pauses)]
    assert waits == sorted(waits)
    assert waits[0] > 0
    assert "it does not answer" in caplog.text
    assert "a defect" in caplog.text


async def test_the_bus_alone_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the process tells itself is a shortcut, and the product works without it."""
    monkeypatch.setattr(bootstrap, "glance", lambda _: hints())
    world = World()
    async with running(world):
        for number in range(1, 9):
            await world.submit(number)
        await world.open_session("ses_1")
        done = await execute(world, 8)
        await settled(world)
    assert len(set(done)) == 8


async def test_what_the_stream_shows_to_be_new_or_over_is_not_read_again() -> None:
    world = World()
    engine = FaultyEngine(world.engine)
    admission = world.orchestrator(engine).admission
    await world.limit(fleet=1)
    await admission.turn(hints())
    for number in (1, 2):
        await world.submit(number)
    engine.tables.calls.clear()
    await admission.turn(glance(record for record in world.engine.storage.feed if record.key.table != LIMITS))
    assert engine.tables.calls == ["transact", "transact", "write_after"]
    await world.finish("run_0001")
    engine.tables.calls.clear()
    await admission.turn(glance(record for record in world.engine.storage.feed if record.key.table != LIMITS))
    assert engine.tables.calls == ["write_after"]
    await admission.turn(hints(projects=["prj_0001", "prj_0002"], runs=["run_0001"]))
    assert engine.tables.calls == ["write_after"], "and what the bus says later costs nothing"
    assert world.held() == {"run_0002"}


async def test_a_limit_is_in_force_at_once_however_much_stands_in_the_admission_queue_before_it() -> None:
    """Here nothing of the queue ever arrives, as behind the flood of a hundred thousand projects."""
    world = World()
    async with running(world, deaf=True):
        await world.limit(fleet=1)
        await world.clock.sleep(0.05)
        for number in range(1, 5):
            await world.submit(number)
        await world.clock.sleep(0.05)
        assert len(world.held()) == 1
        await world.limit(fleet=4)
        async with asyncio.timeout(2.0):
            while len(world.held()) < 4:
                await world.clock.sleep(0.01)


async def test_the_sweep_looks_at_once_when_somebody_was_buried(monkeypatch: pytest.MonkeyPatch) -> None:
    """And goes on with the run, long before its next turn."""
    monkeypatch.setattr(sweep, "EVERY_SECONDS", 3600.0)
    world = World()
    async with running(world):
        run = run_of(await world.submit(1))
        async with asyncio.timeout(SECONDS_MAX):
            while not world.held():
                await world.clock.sleep(0.01)
        await world.open_session("ses_1")
        await world.claim(run)
        await world.clock.sleep(0.05)
        await world.write(bury_session("ses_1"), tell_of_burial("ses_1"))
        async with asyncio.timeout(2.0):
            while world.tokens()[run]["f"] != 2:
                await world.clock.sleep(0.01)


@pytest.mark.parametrize(("tokens_per_second", "is_often"), [(1_000_000, True), (1, False)])
async def test_everything_is_read_again_now_and_then_and_the_more_there_is_the_more_seldom(
    monkeypatch: pytest.MonkeyPatch, tokens_per_second: int, *, is_often: bool
) -> None:
    """A million tokens every half minute would leave no time for anything else. The limits are read as often as ever."""
    monkeypatch.setattr(reload, "EVERY_SECONDS", 0.02)
    monkeypatch.setattr(reload, "TOKENS_PER_SECOND_MAX", tokens_per_second)
    world = World()
    looks: list[str] = []
    async with running(world):
        for number in range(1, 9):
            await world.submit(number)
        async with asyncio.timeout(SECONDS_MAX):
            while len(world.tokens()) < 8:
                await world.clock.sleep(0.01)
        await world.clock.sleep(0.1)
        query = world.engine.tables.query

        async def seen(asked: Query) -> Page:
            looks.append(asked.pk)
            return await query(asked)

        world.engine.tables.query = seen  # type: ignore[assignment, method-assign]  # it is only looked at
        await world.clock.sleep(0.5)
    assert looks.count(LIMITS_PK) > 5
    assert (looks.count(all_tokens(0).pk) > 5) is is_often
