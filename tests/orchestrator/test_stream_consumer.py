"""Stream consumers retry as AWS does: from the lowest failed record, and a hopeless one is put aside, never dropped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tests.orchestrator.world import EvenChance, World

from penstock_backbone.errors import Retryable, TooLarge
from penstock_backbone.inventory import (
    ADMISSION_QUEUE,
    DISPATCH_QUEUE,
    DISPATCHER,
    INVENTORY,
    LIMITS_WATCHER,
    RELAY,
    RELAY_FAILURES_QUEUE,
)
from penstock_backbone.records.limits import write_board
from penstock_backbone.records.tokens import token_key
from penstock_backbone.vocabulary import NotNow, Origin, Outgoing, StreamRecord
from penstock_orchestrator.handlers.dispatch import Dispatcher
from penstock_orchestrator.handlers.limits_watch import LimitsWatcher
from penstock_orchestrator.handlers.records import Failure, RecordHandler
from penstock_orchestrator.handlers.stream_consumer import StreamConsumer

pytestmark = pytest.mark.anyio


class Handler:
    """Notes the projects it is given, and does with each batch what `answer` says."""

    def __init__(self, answer: Callable[[Sequence[StreamRecord]], Failure | None] = lambda _: None) -> None:
        self.batches: list[list[str]] = []
        self.answer = answer

    async def __call__(self, records: Sequence[StreamRecord]) -> Failure | None:
        self.batches.append([record.key.pk for record in records])
        return self.answer(records)


def fails_at(project: str) -> Callable[[Sequence[StreamRecord]], Failure | None]:
    def answer(records: Sequence[StreamRecord]) -> Failure | None:
        return next((Failure(record.sequence, "no") for record in records if record.key.pk == project), None)

    return answer


def consumer(world: World, handler: RecordHandler, streams: Any = None, queues: Any = None) -> StreamConsumer:
    return StreamConsumer(
        INVENTORY.consumer(RELAY),
        handler,
        streams or world.engine.streams,
        queues or world.engine.queues,
        clock=world.clock,
        chance=EvenChance(),
    )


async def turn(relay: StreamConsumer) -> None:
    """Everything that there is to read is read, and one batch of it handled and settled, as long as there is something."""
    await relay.read(0.0)
    if relay._waiting:
        await relay.handle()
        await relay.settle_done()


async def world_with(count: int) -> World:
    world = World()
    for number in range(1, count + 1):
        await world.submit(number)
    return world


def names(*numbers: int) -> list[str]:
    return [f"prj_{number:04d}" for number in numbers]


async def test_records_that_are_done_are_settled_and_not_seen_again() -> None:
    world, handler = await world_with(3), Handler()
    relay = consumer(world, handler)
    await turn(relay)
    await turn(relay)
    world.engine.reopen()
    await turn(relay)
    assert handler.batches == [names(1, 2, 3)]


async def test_a_batch_restarts_from_its_lowest_failed_record_after_a_pause() -> None:
    world, handler = await world_with(4), Handler(fails_at("prj_0003"))
    relay = consumer(world, handler)
    await turn(relay)
    assert world.clock.elapsed > 0
    handler.answer = lambda _: None
    await turn(relay)
    assert handler.batches == [names(1, 2, 3, 4), names(3, 4)]


async def test_a_hopeless_record_is_put_aside_as_a_pointer_and_the_others_go_on() -> None:
    world, handler = await world_with(4), Handler(fails_at("prj_0002"))
    relay = consumer(world, handler)
    attempts = INVENTORY.consumer(RELAY).attempts_max
    for _ in range(attempts + 1):
        await turn(relay)
    assert handler.batches[-1] == names(3, 4)
    assert relay.given_up == 1
    assert len([batch for batch in handler.batches if "prj_0002" in batch]) == attempts
    (message,) = await world.engine.queues.receive(RELAY_FAILURES_QUEUE, 10, 0.0)
    assert json.loads(message.body) == {
        "consumer": "relay",
        "table": "projects",
        "key": {"pk": "prj_0002", "sk": "PROJECT"},
        "sequence": world.engine.storage.feed[1].sequence,
        "reason": "no",
    }


async def test_a_record_that_cannot_be_put_aside_is_not_skipped() -> None:
    world, handler = await world_with(2), Handler(fails_at("prj_0001"))

    class FullQueues:
        async def send(
            self, queue: str, messages: Sequence[Outgoing], origin: Origin | None = None
        ) -> list[str | None]:
            return [f"the queue {queue} is full"] * len(messages)

    relay = consumer(world, handler, queues=FullQueues())
    for _ in range(20):
        await turn(relay)
    assert handler.batches == [names(1, 2)] * 20
    assert relay.given_up == 0


async def test_broken_surroundings_are_no_fault_of_the_records() -> None:
    world = await world_with(2)

    def down(_: Sequence[StreamRecord]) -> Failure | None:
        raise Retryable("the bus does not answer: try again")

    handler = Handler(down)
    relay = consumer(world, handler)
    for _ in range(50):
        with pytest.raises(Retryable):
            await turn(relay)
    handler.answer = lambda _: None
    await turn(relay)
    assert handler.batches[-1] == names(1, 2)
    assert relay.given_up == 0


async def test_a_record_that_was_throttled_is_tried_until_it_is_taken_and_only_its_own_failures_count() -> None:
    world = await world_with(3)
    reason = NotNow("ThrottlingException: slow down")

    def refused(records: Sequence[StreamRecord]) -> Failure | None:
        return next((Failure(record.sequence, reason) for record in records if record.key.pk == "prj_0002"), None)

    handler = Handler(refused)
    relay = consumer(world, handler)
    for _ in range(50):
        await turn(relay)
    assert relay.given_up == 0
    assert world.clock.elapsed > 50, "and the pauses have grown"
    handler.answer, attempts = fails_at("prj_0002"), len(handler.batches)
    for _ in range(INVENTORY.consumer(RELAY).attempts_max + 1):
        await turn(relay)
    assert relay.given_up == 1
    assert len(handler.batches) - attempts == INVENTORY.consumer(RELAY).attempts_max + 1
    assert handler.batches[-1] == names(3)


@pytest.mark.parametrize("error", [KeyError("seq"), TooLarge("the event is over the limit")])
async def test_a_record_that_breaks_its_handler_is_found_by_halving_and_only_it_is_put_aside(error: Exception) -> None:
    world = await world_with(20)

    def breaks(records: Sequence[StreamRecord]) -> Failure | None:
        if any(record.key.pk == "prj_0013" for record in records):
            raise error
        return None

    handler = Handler(breaks)
    relay = consumer(world, handler)
    for _ in range(60):
        await turn(relay)
    assert relay.given_up == 1
    (message,) = await world.engine.queues.receive(RELAY_FAILURES_QUEUE, 10, 0.0)
    assert json.loads(message.body)["key"]["pk"] == "prj_0013"
    done = {name for batch in handler.batches if "prj_0013" not in batch for name in batch}
    assert done == set(names(*range(1, 21))) - {"prj_0013"}


async def test_records_whose_reading_or_settling_failed_come_again() -> None:
    world, handler = await world_with(3), Handler()
    streams = world.engine.streams

    class LossyStreams:
        def __init__(self) -> None:
            self.losses = ["read", "settle"]

        async def read(self, name: str, limit: int, wait_seconds: float) -> list[StreamRecord]:
            records = await streams.read(name, limit, wait_seconds)
            self._lose("read")
            return records

        async def settle(self, name: str, through: str) -> None:
            self._lose("settle")
            await streams.settle(name, through)

        async def rewind(self, name: str) -> None:
            await streams.rewind(name)

        def _lose(self, call: str) -> None:
            if call in self.losses:
                self.losses.remove(call)
                raise Retryable(f"the answer of {call} was lost: try again")

    relay = consumer(world, handler, streams=LossyStreams())
    with pytest.raises(Retryable, match="read"):
        await turn(relay)
    with pytest.raises(Retryable, match="settle"):
        await turn(relay)
    assert handler.batches == [names(1, 2, 3)]
    await world.submit(4)
    await turn(relay)
    world.engine.reopen()
    await turn(relay)
    assert handler.batches == [names(1, 2, 3), names(4)], "what was handled is settled by the next call"


async def test_who_is_shown_the_records_has_a_turn_before_they_are_handled() -> None:
    world = await world_with(1)
    order: list[str] = []
    seeing: list[asyncio.Task[None]] = []

    async def seen() -> None:
        order.append("seen")

    def handled(_: Sequence[StreamRecord]) -> None:
        order.append("handled")

    relay = StreamConsumer(
        INVENTORY.consumer(RELAY),
        Handler(handled),
        world.engine.streams,
        world.engine.queues,
        clock=world.clock,
        chance=EvenChance(),
        see=lambda _: seeing.append(asyncio.create_task(seen())),
    )
    handling = asyncio.create_task(relay.handle())
    await world.clock.sleep(0)
    await relay.read(0.0)
    await handling
    assert order == ["seen", "handled"]


async def test_records_are_read_ahead_within_a_bound_and_seen_before_they_are_handled() -> None:
    world, handler = await world_with(250), Handler()
    seen: list[str] = []
    relay = StreamConsumer(
        INVENTORY.consumer(RELAY),
        handler,
        world.engine.streams,
        world.engine.queues,
        clock=world.clock,
        chance=EvenChance(),
        see=lambda records: seen.extend(record.key.pk for record in records),
    )
    await relay.read(0.0)
    await relay.read(0.0)
    assert len(seen) == 200
    reading = asyncio.create_task(relay.read(0.0))
    await world.clock.sleep(0.1)
    assert not reading.done(), "there is no room"
    await relay.handle()
    await reading
    await relay.handle()
    await relay.handle()
    assert seen == names(*range(1, 251))
    assert [len(batch) for batch in handler.batches] == [100, 100, 50]


async def test_a_read_that_failed_while_a_batch_is_handled_repeats_but_never_skips() -> None:
    world = await world_with(3)
    streams, lossy = world.engine.streams, {"now": False}
    entered, released = asyncio.Event(), asyncio.Event()

    class LossyStreams:
        async def read(self, name: str, limit: int, wait_seconds: float) -> list[StreamRecord]:
            records = await streams.read(name, limit, wait_seconds)
            if lossy["now"]:
                raise Retryable("the answer was lost: try again")
            return records

        async def settle(self, name: str, through: str) -> None:
            await streams.settle(name, through)

        async def rewind(self, name: str) -> None:
            await streams.rewind(name)

    handled: list[str] = []

    class Slow:
        async def __call__(self, records: Sequence[StreamRecord]) -> Failure | None:
            handled.extend(record.key.pk for record in records)
            entered.set()
            await released.wait()
            return None

    relay = consumer(world, Slow(), streams=LossyStreams())
    await relay.read(0.0)
    handling = asyncio.create_task(relay.handle())
    await entered.wait()
    await world.submit(4)
    lossy["now"] = True
    with pytest.raises(Retryable):
        await relay.read(0.0)
    lossy["now"] = False
    await relay.read(0.0)
    released.set()
    await handling
    await relay.handle()
    assert handled == names(1, 2, 3) + names(1, 2, 3, 4)


# --- dispatcher and limits watcher ------------------------------------------------------------------------------


def token_record(sequence: int, run: str, **item: Any) -> StreamRecord:
    token = {
        "pk": "TK#0",
        "sk": f"acme#3#{run}",
        "st": "held",
        "f": 2,
        "run": run,
        "project": "prj_1",
        "tenant": "acme",
    }
    return StreamRecord(str(sequence), token_key(0, f"acme#3#{run}"), token | item)


async def test_only_held_tokens_are_dispatched_with_their_tenant_as_the_group() -> None:
    world = World()
    records = [
        token_record(1, "run_1", st="waiting"),
        token_record(2, "run_2"),
        StreamRecord("3", token_record(3, "run_3").key, None),
    ]
    assert await Dispatcher(world.engine.queues)(records) is None
    (message,) = await world.engine.queues.receive(DISPATCH_QUEUE, 10, 0.0)
    assert message.group == "acme"
    assert json.loads(message.body) == {
        "run": "run_2", "fence": 2, "token": "acme#3#run_2", "tenant": "acme", "project": "prj_1",
    }  # fmt: skip


async def test_the_first_grant_that_could_not_be_sent_is_reported_and_damage_with_it() -> None:
    sent: list[Origin | None] = []

    class Refusing:
        async def send(
            self, queue: str, messages: Sequence[Outgoing], origin: Origin | None = None
        ) -> list[str | None]:
            sent.append(origin)
            return [f"{queue} is full" if "run_2" in message.body else None for message in messages]

    damaged = token_record(9, "run_9")
    del (damaged.item or {})["project"]
    dispatcher = Dispatcher(Refusing())  # type: ignore[arg-type]  # only what is used
    assert await dispatcher([token_record(1, "run_1"), token_record(2, "run_2")]) == Failure("2", "dispatch is full")
    failure = await dispatcher([damaged])
    assert failure is not None
    assert failure.sequence == "9"
    assert sent == [Origin(DISPATCHER, "1")]


async def test_a_changed_limit_wakes_the_admission_once_a_batch_and_a_board_never() -> None:
    world = World()
    await world.limit(fleet=3, tenant_acme=1)
    await world.write(write_board("acme", waiting=0, held=0, places=[], at=1))
    watcher = LimitsWatcher(world.engine.queues)
    records = await world.engine.streams.read(LIMITS_WATCHER, 100, 0.0)
    assert await watcher(records[2:]) is None
    assert await world.engine.queues.receive(ADMISSION_QUEUE, 10, 0.0) == []
    assert await watcher(records) is None
    (message,) = await world.engine.queues.receive(ADMISSION_QUEUE, 10, 0.0)
    assert json.loads(message.body) == {"look": "limits"}
