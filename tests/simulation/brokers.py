"""The waiting half of queues and streams, for several processes at once: long polls, and who reads which stream.

A consumer's stream is read by one process at a time, as a Lambda event source mapping sees to it; when that one
dies or keeps silent another takes over from the last settled record, and the silent one may still wake up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.simulation.machine import Process, stream_of
from tests.simulation.network import Network, Spell, at_once
from tests.simulation.plan import LOSABLE, Fault

from penstock_backbone.inventory import DISPATCH_QUEUE, INVENTORY, RELAY, Consumer
from penstock_backbone.vocabulary import Key, Message, Outgoing, StreamRecord

TAKEOVER_SECONDS = 8.0
"""A reader that was not heard for so long is taken for dead."""
LOOK_AGAIN_SECONDS = 5.0
LATE_SECONDS_MAX = 20.0
NOT_LOSABLE = "ProjectCreated"
"""Queues keep what they accept (the port says so). Of all other hints we take even the loss, which something repairs."""


@dataclass(slots=True)
class _Poll:
    process: Process
    attempt: Callable[[], list[Any]]
    answer: asyncio.Future[Any]
    name: str


class _Polls:
    """Those who wait until there is something for them."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._waiting: dict[str, list[_Poll]] = {}
        self._ringing: set[str] = set()

    def begin(self, place: str, poll: _Poll, seconds: float) -> None:
        if not self._serve(poll, anyway=seconds <= 0):
            self._waiting.setdefault(place, []).append(poll)
            self._network.later(seconds, self._end, place, poll)

    def ring(self, place: str) -> None:
        """Soon, and once for all that happens until then."""
        if place not in self._ringing and self._waiting.get(place):
            self._ringing.add(place)
            self._network.later(0.001, self._rung, place)

    def _rung(self, place: str) -> None:
        self._ringing.discard(place)
        waiting = self._waiting.pop(place, [])
        left = [poll for poll in waiting if not (poll.process.gone or poll.answer.done()) and not self._serve(poll)]
        if left:
            self._waiting[place] = [*left, *self._waiting.get(place, [])]

    def _serve(self, poll: _Poll, *, anyway: bool = False) -> bool:
        found = poll.attempt()
        if not found and not anyway:
            return False
        network = self._network
        network.trace.call(network.loop.now, poll.process.name, poll.name, len(found))
        network.later(network.way(poll.process), _answer, poll.answer, found)
        return True

    def _end(self, place: str, poll: _Poll) -> None:
        waiting = self._waiting.get(place, [])
        if poll in waiting:
            waiting.remove(poll)
            _answer(poll.answer, [])


def _answer(answer: asyncio.Future[Any], found: list[Any]) -> None:
    if not answer.done():
        answer.set_result(found)


class QueueBroker:
    """Messages may come late, twice, or not at all, as the plan says."""

    def __init__(self, network: Network, seed: int) -> None:
        self._network = network
        self._polls = _Polls(network)
        self._lossy: dict[str, Spell] = {}
        self._slow: dict[str, Spell] = {}
        self._holders: dict[str, Process] = {}
        self._shown: set[str] = set()
        self.on_dispatch: Callable[[Message], None] = lambda _message: None
        self._chance = stream_of(seed, "queues")
        self._queues = network.engine.queues
        self._accept = network.engine.queues.accept
        network.engine.queues.accept = self.accept  # type: ignore[method-assign]  # the bus delivers here too

    def lose_all(self, queue: str, seconds: float) -> None:
        """Of what is sent there from now on; only for hints that something repairs."""
        self._lossy[queue] = Spell("dispatches lost", self._network.loop.now + seconds)

    def delay_all(self, queue: str, seconds: float) -> None:
        """By about as long as a grant is waited for before it is taken back."""
        self._slow[queue] = Spell("dispatches late", self._network.loop.now + seconds)

    def mend(self) -> None:
        self._lossy.clear()
        self._slow.clear()

    def accept(self, queue: str, message: Outgoing) -> str | None:
        if self._lossy and self._network.is_hit(self._lossy.get(queue)):
            return None
        if self._slow and self._network.is_hit(self._slow.get(queue)):
            self._later(13.5 + 3.0 * self._chance.random(), queue, message)
            return None
        fault = self._network.strike(queue, LOSABLE if NOT_LOSABLE not in message.body else "accept a project")
        if fault is None:
            return self._take(queue, message)
        seconds = min(fault.seconds, LATE_SECONDS_MAX)
        match fault.kind:
            case "message lost":
                self._network.sightings.note(fault.kind)
                return None
            case "message late":
                self._later(seconds, queue, message, fault.kind)
                return None
            case "message twice":
                self._later(seconds, queue, message, fault.kind)
                return self._take(queue, message)
            case "message seen twice at once":
                self._network.later(seconds / 4, self.show_all, queue)
                return self._take(queue, message)
            case _:
                raise AssertionError(fault)

    def receive(self, process: Process, queue: str, limit: int, seconds: float, answer: asyncio.Future[Any]) -> None:
        def attempt() -> list[Message]:
            found = at_once(self._queues.receive(queue, limit, 0.0))
            if found:
                self._received(process, queue, found)
                hidden = INVENTORY.queue(queue).visibility_seconds
                self._network.later(hidden + 0.001, self._polls.ring, queue)
            return found

        self._polls.begin(queue, _Poll(process, attempt, answer, f"queues.receive {queue}"), seconds)

    def extend(self, queue: str, receipts: Sequence[str], seconds: float) -> None:
        at_once(self._queues.extend(queue, receipts, seconds))
        self._network.later(max(seconds, 0.0) + 0.001, self._polls.ring, queue)

    def show_all(self, queue: str) -> None:
        """What is being worked on becomes visible again, as when a visibility time ends too early. At most half of the
        receives after which a message is put aside are taken from it so: the rest are for what its receivers do."""
        lane = self._queues._queued._lane(queue)
        most = lane.definition.receives_max // 2
        shown = [message for message in lane.held.values() if message.receives < most]
        self._shown.update(str(message.number) for message in shown)
        self.extend(queue, [message.receipt for message in shown], 0.0)

    def size(self, queue: str) -> int:
        return self._queues._queued.size(queue)

    def _received(self, process: Process, queue: str, messages: Sequence[Message]) -> None:
        """What was shown too early has been seen twice at once when it comes while its first receiver still lives."""
        for message in messages:
            if message.id in self._shown:
                self._shown.discard(message.id)
                if not self._holders[message.id].gone:
                    self._network.sightings.note("message seen twice at once")
            self._holders[message.id] = process
            if queue == DISPATCH_QUEUE:
                self.on_dispatch(message)

    def _later(self, seconds: float, queue: str, message: Outgoing, kind: str = "") -> None:
        self._network.under_way += 1
        self._network.later(seconds, self._arrive, queue, message, kind)

    def _arrive(self, queue: str, message: Outgoing, kind: str) -> None:
        self._network.under_way -= 1
        if kind:
            self._network.sightings.note(kind)
        self._take(queue, message)

    def _take(self, queue: str, message: Outgoing) -> str | None:
        reason = self._accept(queue, message)
        self._polls.ring(queue)
        return reason


@dataclass(slots=True)
class _Position:
    definition: Consumer
    reader: Process | None = None
    taken_from: Process | None = None
    heard_at: float = 0.0
    read_at: float = 0.0
    read_to: int = 0
    settled: int = 0
    passed: int = 0
    """Up to here everything is settled or not wanted."""


class StreamBroker:
    def __init__(self, network: Network) -> None:
        self._network = network
        self._polls = _Polls(network)
        self._feed = network.engine.storage.feed
        self._positions = {each.name: _Position(each) for each in INVENTORY.consumers}
        self._readers = {
            table.name: [each for each in INVENTORY.consumers if table.name in each.tables]
            for table in INVENTORY.tables
        }

    def committed(self, key: Key) -> None:
        for definition in self._readers.get(key.table, ()):
            if definition.wants(key.table, key.pk):
                self._polls.ring(definition.name)

    def read(self, process: Process, consumer: str, limit: int, seconds: float, answer: asyncio.Future[Any]) -> None:
        position = self._positions[consumer]
        if position.reader is process:
            position.heard_at = self._network.loop.now

        def attempt() -> list[StreamRecord]:
            if not self._may_read(process, position):
                return []
            return self._next(position, limit)

        wait = min(seconds, LOOK_AGAIN_SECONDS)
        self._polls.begin(consumer, _Poll(process, attempt, answer, f"streams.read {consumer}"), wait)

    def settle(self, process: Process, consumer: str, through: str) -> None:
        position = self._positions[consumer]
        if position.reader is process:
            position.heard_at = self._network.loop.now
            position.settled = max(position.settled, int(through))

    def rewind(self, process: Process, consumer: str) -> None:
        position = self._positions[consumer]
        if position.reader is process:
            position.read_to = position.settled

    def spoil(self, fault: Fault) -> None:
        position = self._positions[fault.target]
        if fault.kind == "records again":
            if self._has_unsettled(position):
                self._network.happens(fault.kind, fault.target)
            position.read_to = position.settled
        else:
            assert fault.kind == "consumer moved", fault
            if position.reader is not None and not position.reader.gone:
                position.reader, position.taken_from = None, position.reader
        self._polls.ring(fault.target)

    def is_settled(self, consumer: str) -> bool:
        position = self._positions[consumer]
        feed, wants, place = self._feed, position.definition.wants, max(position.settled, position.passed)
        while place < len(feed) and not wants(feed[place].key.table, feed[place].key.pk):
            place += 1
        position.passed = place
        return place == len(feed)

    def _may_read(self, process: Process, position: _Position) -> bool:
        reader, now = position.reader, self._network.loop.now
        if reader is process:
            return True
        if reader is not None and not reader.gone and now - position.heard_at < TAKEOVER_SECONDS:
            return False
        if reader is not None:
            self._network.sightings.note("a consumer moved to another process (14, 26)")
            published = reader.published_at > position.read_at and position.definition.name == RELAY
            if reader.gone and published and self._has_unsettled(position):
                self._network.sightings.note("a reader died after it had published and before it settled (14)")
        elif position.taken_from not in (None, process):
            self._network.happens("consumer moved", position.definition.name, f" to {process.name}")
        position.reader, position.taken_from = process, None
        position.heard_at, position.read_to = now, position.settled
        return True

    def _has_unsettled(self, position: _Position) -> bool:
        """It has read what it has not settled."""
        wants = position.definition.wants
        return any(wants(each.key.table, each.key.pk) for each in self._feed[position.settled : position.read_to])

    def _next(self, position: _Position, limit: int) -> list[StreamRecord]:
        found: list[StreamRecord] = []
        feed, place, end, wants = self._feed, position.read_to, len(self._feed), position.definition.wants
        while place < end and len(found) < limit:
            if wants(feed[place].key.table, feed[place].key.pk):
                found.append(feed[place])
            place += 1
        position.read_to = place
        if found:
            position.read_at = self._network.loop.now
        return found
