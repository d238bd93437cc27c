"""Stream positions and messages of the store: what may be forgotten, and what must be written first.

A message that was sent because of a stream record (Origin) is not written at once: if the store dies, the
record is delivered again and the message sent again. So a consumer's settled position becomes durable only
once no older unwritten message is left; what stays unsettled for SPILL_SECONDS is written after all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from penstock_backbone.embedded.database import Database
from penstock_backbone.embedded.tail import Record
from penstock_backbone.errors import Fatal
from penstock_backbone.inventory import Consumer, Inventory
from penstock_backbone.local.feed import feed_number
from penstock_backbone.local.limits import MESSAGE_BYTES_MAX, check_text_size
from penstock_backbone.local.messages import Queued, Stored
from penstock_backbone.local.routing import Router, event_body, refusal
from penstock_backbone.vocabulary import BusEntry, Message, Origin, Outgoing

SPILL_SECONDS = 1.0
SCAN_RECORDS_MAX = 1000
MESSAGES_OF_A_LIFE_MAX = 10**12


class Streams:
    """Where each consumer is: read to, settled to, and durably settled to (feed numbers)."""

    def __init__(self, database: Database, inventory: Inventory) -> None:
        self._database = database
        self.consumers = {consumer.name: consumer for consumer in inventory.consumers}
        durable = database.positions()
        self._durable = {name: durable.get(name, 0) for name in self.consumers}
        self._settled = dict(self._durable)
        self._read_to = dict(self._durable)
        self._handed_out = dict(self._durable)

    def read(self, consumer: str, limit: int) -> list[Record]:
        definition = self._definition(consumer)
        found: list[Record] = []
        position = self._read_to[consumer]
        while len(found) < limit and position < self._database.last_seq:
            records = self._database.records_after(position, min(limit, SCAN_RECORDS_MAX))
            if not records:
                break
            for record in records:
                position = record.seq
                if definition.wants(record.key.table, record.key.pk):
                    found.append(record)
                    if len(found) == limit:
                        break
        self._read_to[consumer] = position
        if found:
            self._handed_out[consumer] = found[-1].seq
        self._pass_over(consumer)
        return found

    def settle(self, consumer: str, through: str) -> None:
        self._definition(consumer)
        self._settled[consumer] = max(self._settled[consumer], feed_number(through))
        self._pass_over(consumer)

    def rewind(self, consumer: str) -> None:
        self._definition(consumer)
        self._read_to[consumer] = self._settled[consumer]

    def _pass_over(self, consumer: str) -> None:
        """What it does not want is settled with what it had before: who has nothing to do must not keep the feed from
        being trimmed."""
        if self._settled[consumer] >= self._handed_out[consumer]:
            self._settled[consumer] = max(self._settled[consumer], self._read_to[consumer])

    def settled_positions(self) -> dict[str, int]:
        return dict(self._settled)

    def make_durable(self, positions: dict[str, int]) -> None:
        for consumer, seq in positions.items():
            if seq > self._durable[consumer]:
                self._durable[consumer] = seq
                self._database.stage_position(consumer, seq)

    @property
    def durable_floor(self) -> int:
        """What no consumer needs any more."""
        return min(self._durable.values(), default=0)

    def _definition(self, consumer: str) -> Consumer:
        definition = self.consumers.get(consumer)
        if definition is None:
            raise Fatal(f"there is no consumer {consumer!r} in the inventory")
        return definition


class _Barrier(NamedTuple):
    """Once every message up to `number` is settled or written, these positions may become durable."""

    number: int
    positions: dict[str, int]


class Messages:
    """Queues and bus of the store. `now` is seconds of the store's monotonic clock."""

    def __init__(self, database: Database, inventory: Inventory) -> None:
        self._database = database
        written = database.messages()
        # No number comes again, so that a receipt of an earlier life settles nothing of this one.
        last = max((message.number for message in written), default=0)
        self._queued = Queued(inventory, next_number=1 + max(last, database.life * MESSAGES_OF_A_LIFE_MAX))
        self._router = Router(inventory)
        self._unwritten: dict[int, Stored] = {}
        self._barriers: deque[_Barrier] = deque()
        for message in written:
            self._queued.restore(message)

    def send(self, queue: str, messages: Sequence[Outgoing], origin: Origin | None, now: float) -> list[str | None]:
        return [self._accept(queue, message, origin, now) for message in messages]

    def publish(
        self, entries: Sequence[BusEntry], origin: Origin | None, now: float, at: datetime
    ) -> tuple[list[str | None], set[str]]:
        """The answers, and the queues that got something."""
        answers: list[str | None] = []
        touched: set[str] = set()
        for entry in entries:
            reason = refusal(entry)
            for queue in [] if reason else self._router.queues(entry):
                body = event_body(entry, f"local-{self._queued.last_number + 1}", at)
                reason = self._accept(queue, Outgoing(body), origin, now) or reason
                touched.add(queue)
            answers.append(reason)
        return answers, touched

    def receive(self, queue: str, limit: int, now: float, receiver: object) -> list[Message]:
        messages, dead = self._queued.receive(queue, limit, now, receiver)
        for message in dead:
            self._unwritten.pop(message.number, None)
            self._database.stage_message(message)
        return messages

    def delete(self, queue: str, receipts: Sequence[str]) -> None:
        for message in self._queued.delete(queue, receipts):
            if self._unwritten.pop(message.number, None) is None:
                self._database.stage_settled(message.number)

    def extend(self, queue: str, receipts: Sequence[str], now: float, seconds: float) -> None:
        self._queued.extend(queue, receipts, now, seconds)

    def release(self, receiver: object) -> None:
        self._queued.release(receiver)

    def has_ready(self, queue: str, now: float) -> bool:
        return self._queued.has_ready(queue, now)

    def note_positions(self, positions: dict[str, int]) -> None:
        """These positions are settled; they wait for the messages sent until now."""
        self._barriers.append(_Barrier(self._queued.last_number, positions))

    def durable_positions(self) -> dict[str, int]:
        """Positions that no unwritten message holds back any more."""
        oldest = next(iter(self._unwritten), self._queued.last_number + 1)
        ready: dict[str, int] = {}
        while self._barriers and self._barriers[0].number < oldest:
            ready.update(self._barriers.popleft().positions)
        return ready

    def spill(self, now: float) -> None:
        """Writes (with the next commit) what has stayed unsettled for too long."""
        for number, message in list(self._unwritten.items()):
            if message.sent_at > now - SPILL_SECONDS:
                break
            del self._unwritten[number]
            self._database.stage_message(message)

    def _accept(self, queue: str, message: Outgoing, origin: Origin | None, now: float) -> str | None:
        reason = check_text_size(message.body, MESSAGE_BYTES_MAX, "the message")
        if reason:
            return reason
        stored = self._queued.send(queue, message.body, message.group, now)
        if stored is None:
            return f"the queue {queue} is full"
        if origin is None:
            self._database.stage_message(stored)
        else:
            self._unwritten[stored.number] = stored
        return None
