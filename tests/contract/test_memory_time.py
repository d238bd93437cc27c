"""What takes half a minute elsewhere, exactly: the queues of the memory engine under a clock that only tests move."""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from tests.contract.contract_inventory import CONTRACT, POISONED, RECEIVES_MAX, VISIBILITY_SECONDS, WATCHED
from tests.contract.writing import key

from penstock_backbone.local.waiting import Bell
from penstock_backbone.memory import MemoryEngine
from penstock_backbone.system import SystemIds
from penstock_backbone.vocabulary import Message, Outgoing

pytestmark = pytest.mark.anyio

TURNS = 20
"""Of the event loop, after which everybody who was woken has done what there was to do."""


class MovedClock:
    """Time passes only in `advance`, which wakes the sleepers in their order."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._numbers = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return datetime(2026, 11, 24, tzinfo=UTC) + timedelta(seconds=self._now)

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._numbers), wake))
        await wake

    async def advance(self, seconds: float) -> None:
        end = self._now + seconds
        await turns()
        while self._sleepers and self._sleepers[0][0] <= end:
            self._now, _, wake = heapq.heappop(self._sleepers)
            if not wake.done():
                wake.set_result(None)
            await turns()
        self._now = end


async def turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)  # noqa: TID251  # a turn of the loop, in which no time passes


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def engine(clock: MovedClock) -> MemoryEngine:
    return MemoryEngine(clock, SystemIds(), CONTRACT)


async def now_there(engine: MemoryEngine, queue: str = "plain") -> list[Message]:
    return await engine.queues.receive(queue, 10, 0)


async def test_a_message_is_hidden_for_its_queues_time_and_no_longer(engine: MemoryEngine, clock: MovedClock) -> None:
    await engine.queues.send("plain", [Outgoing("a")])
    [first] = await now_there(engine)
    await clock.advance(VISIBILITY_SECONDS - 0.1)
    assert await now_there(engine) == []
    await clock.advance(0.2)
    [second] = await now_there(engine)
    assert (second.id, second.receives) == (first.id, 2)
    await clock.advance(VISIBILITY_SECONDS + 0.1)
    [third] = await now_there(engine)
    assert third.receives == 3


async def test_a_longer_time_counts_from_when_it_was_asked_for(engine: MemoryEngine, clock: MovedClock) -> None:
    await engine.queues.send("plain", [Outgoing("a")])
    [message] = await now_there(engine)
    await clock.advance(20)
    await engine.queues.extend("plain", [message.receipt], 100)
    await clock.advance(99.9)
    assert await now_there(engine) == []
    await clock.advance(0.2)
    assert len(await now_there(engine)) == 1


async def test_a_shorter_time_counts_as_well(engine: MemoryEngine, clock: MovedClock) -> None:
    await engine.queues.send("plain", [Outgoing("a")])
    [message] = await now_there(engine)
    await engine.queues.extend("plain", [message.receipt], 5)
    await clock.advance(5.1)
    assert len(await now_there(engine)) == 1
    await clock.advance(VISIBILITY_SECONDS - 5.2)
    assert await now_there(engine) == []


async def test_a_receipt_expires_with_the_visibility(engine: MemoryEngine, clock: MovedClock) -> None:
    await engine.queues.send("plain", [Outgoing("a")])
    [first] = await now_there(engine)
    await clock.advance(VISIBILITY_SECONDS + 1)
    [second] = await now_there(engine)
    await engine.queues.delete("plain", [first.receipt])
    await engine.queues.extend("plain", [first.receipt], 0)
    assert await now_there(engine) == []
    await engine.queues.delete("plain", [second.receipt])
    await clock.advance(VISIBILITY_SECONDS + 1)
    assert await now_there(engine) == []


async def test_running_out_of_time_counts_as_a_try(engine: MemoryEngine, clock: MovedClock) -> None:
    await engine.queues.send(POISONED, [Outgoing("bad")])
    for _ in range(RECEIVES_MAX):
        assert len(await now_there(engine, POISONED)) == 1
        await clock.advance(VISIBILITY_SECONDS + 1)
    assert await now_there(engine, POISONED) == []
    [dead] = await now_there(engine, f"{POISONED}-dlq")
    assert dead.body == "bad"


async def test_a_waiting_receiver_gets_what_comes_back_meanwhile(engine: MemoryEngine, clock: MovedClock) -> None:
    await engine.queues.send("plain", [Outgoing("a")])
    await now_there(engine)
    waiting = asyncio.ensure_future(engine.queues.receive("plain", 10, 600))
    await clock.advance(VISIBILITY_SECONDS - 1)
    assert not waiting.done()
    await clock.advance(2)
    [message] = await waiting
    assert message.receives == 2


async def test_waiting_ends_when_its_time_is_up(engine: MemoryEngine, clock: MovedClock) -> None:
    where = key("pk", "sk", WATCHED)
    await engine.watch.changed(where, 0)
    waiting = [
        asyncio.ensure_future(engine.queues.receive("plain", 10, 20)),
        asyncio.ensure_future(engine.streams.read("quiet-reader", 10, 20)),
        asyncio.ensure_future(engine.watch.changed(where, 20)),
    ]
    await clock.advance(19.9)
    assert [each.done() for each in waiting] == [False] * 3
    await clock.advance(0.2)
    assert [each.done() and each.result() for each in waiting] == [[], [], False]


async def test_whoever_has_waited_in_vain_leaves_nothing_behind(clock: MovedClock) -> None:
    """An item that is watched for months may never change."""
    bell = Bell()
    for _ in range(3):
        waiting = asyncio.create_task(bell.wait(clock, 5.0))
        await clock.advance(6.0)
        assert waiting.done()
    assert not bell._waiters
