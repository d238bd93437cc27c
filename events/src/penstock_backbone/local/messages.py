"""Queues as plain state: visibility, redelivery, fairness by group, dead letters. Time is passed in.

A message is ready, or hidden until a moment after it was received. Groups take turns, so one tenant's
flood does not delay another's message (as SQS fair queues do, approximately).
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from penstock_backbone.errors import Fatal
from penstock_backbone.inventory import Inventory, Queue
from penstock_backbone.vocabulary import Message

QUEUE_MESSAGES_MAX = 1_000_000
NUMBER_DIGITS_MAX = 20


@dataclass(slots=True)
class Stored:
    """`number` orders messages over all queues; `receives` counts deliveries; a receipt is number:receives. `receiver`:
    whoever has it, while it is hidden for no longer than its queue says."""

    number: int
    queue: str
    body: str
    group: str
    receives: int = 0
    sent_at: float = 0.0
    visible_at: float = 0.0
    settled: bool = False
    receiver: object = None

    @property
    def receipt(self) -> str:
        return f"{self.number}:{self.receives}"


@dataclass(slots=True)
class _Lane:
    """One queue: messages that are ready, by group in turn, and those in flight by the time they come back."""

    definition: Queue
    groups: dict[str, deque[Stored]] = field(default_factory=dict)
    hidden: list[tuple[float, int, Stored]] = field(default_factory=list)
    held: dict[int, Stored] = field(default_factory=dict)
    size: int = 0


class Queued:
    """Every queue of the inventory. Each method takes `now`, seconds on one monotonic clock."""

    def __init__(self, inventory: Inventory, next_number: int = 1) -> None:
        self._lanes: dict[str, _Lane] = {}
        for queue in inventory.queues:
            self._lanes[queue.name] = _Lane(queue)
            if queue.dead_letter:
                dlq = Queue(queue.dlq, f"dead letters of {queue.name}", queue.visibility_seconds, dead_letter=False)
                self._lanes[queue.dlq] = _Lane(dlq)
        self.last_number = next_number - 1

    def send(self, queue: str, body: str, group: str, now: float) -> Stored | None:
        """None when the queue is full: QUEUE_MESSAGES_MAX."""
        lane = self._lane(queue)
        if lane.size >= QUEUE_MESSAGES_MAX:
            return None
        self.last_number += 1
        message = Stored(self.last_number, queue, body, group, sent_at=now)
        self.restore(message)
        return message

    def restore(self, message: Stored) -> None:
        lane = self._lane(message.queue)
        lane.size += 1
        _make_ready(lane, message)

    def receive(
        self, queue: str, limit: int, now: float, receiver: object = None
    ) -> tuple[list[Message], list[Stored]]:
        """The messages, and those that were received too often and moved to the DLQ (their `queue` has changed)."""
        lane = self._lane(queue)
        self._wake(lane, now)
        received: list[Message] = []
        dead: list[Stored] = []
        while lane.groups and len(received) < limit:
            message = _take(lane)
            if message.receives >= lane.definition.receives_max and lane.definition.dead_letter:
                lane.size -= 1
                message.queue, message.receives = lane.definition.dlq, 0
                self.restore(message)
                dead.append(message)
                continue
            message.receives += 1
            message.receiver = receiver
            self._hide(lane, message, now + lane.definition.visibility_seconds)
            body, number = message.body, message.number
            received.append(Message(str(number), message.receipt, body, message.receives, message.group))
        return received, dead

    def delete(self, queue: str, receipts: Iterable[str]) -> list[Stored]:
        """The messages that are gone for good; a receipt of an earlier delivery is ignored."""
        lane = self._lane(queue)
        gone = []
        for receipt in receipts:
            message = self._in_flight(lane, receipt)
            if message is not None:
                del lane.held[message.number]
                message.settled = True
                lane.size -= 1
                gone.append(message)
        return gone

    def extend(self, queue: str, receipts: Iterable[str], now: float, seconds: float) -> None:
        lane = self._lane(queue)
        for receipt in receipts:
            message = self._in_flight(lane, receipt)
            if message is None:
                continue
            message.receiver = None
            if seconds > 0:
                self._hide(lane, message, now + seconds)
            else:
                del lane.held[message.number]
                _make_ready(lane, message)

    def release(self, receiver: object) -> None:
        """It is gone for good: others need not wait until what it had received is visible again. What it has hidden for a
        time of its own choice stays so."""
        for lane in self._lanes.values():
            for message in [message for message in lane.held.values() if message.receiver is receiver]:
                message.receiver = None
                del lane.held[message.number]
                _make_ready(lane, message)

    def next_visible(self, queue: str) -> float | None:
        """When the first hidden message comes back, for whoever waits on an empty queue."""
        lane = self._lane(queue)
        while lane.hidden and not _is_current(lane, lane.hidden[0]):
            heapq.heappop(lane.hidden)
        return lane.hidden[0][0] if lane.hidden else None

    def has_ready(self, queue: str, now: float) -> bool:
        lane = self._lane(queue)
        self._wake(lane, now)
        return bool(lane.groups)

    def size(self, queue: str) -> int:
        return self._lane(queue).size

    def _lane(self, queue: str) -> _Lane:
        lane = self._lanes.get(queue)
        if lane is None:
            raise Fatal(f"there is no queue {queue!r} in the inventory")
        return lane

    @staticmethod
    def _in_flight(lane: _Lane, receipt: str) -> Stored | None:
        number, _, _ = receipt.partition(":")
        message = (
            lane.held.get(int(number))
            if number.isascii() and number.isdecimal() and len(number) < NUMBER_DIGITS_MAX
            else None
        )
        return message if message is not None and message.receipt == receipt else None

    @staticmethod
    def _hide(lane: _Lane, message: Stored, until: float) -> None:
        message.visible_at = until
        lane.held[message.number] = message
        heapq.heappush(lane.hidden, (until, message.number, message))

    @staticmethod
    def _wake(lane: _Lane, now: float) -> None:
        while lane.hidden and (lane.hidden[0][0] <= now or not _is_current(lane, lane.hidden[0])):
            entry = heapq.heappop(lane.hidden)
            if _is_current(lane, entry):
                del lane.held[entry[1]]
                _make_ready(lane, entry[2])


def _is_current(lane: _Lane, entry: tuple[float, int, Stored]) -> bool:
    """Entries of deleted or further extended messages stay in the heap until they surface."""
    until, number, message = entry
    return number in lane.held and message.visible_at == until


def _make_ready(lane: _Lane, message: Stored) -> None:
    lane.groups.setdefault(message.group, deque()).append(message)


def _take(lane: _Lane) -> Stored:
    """The first message of the first group, which then goes to the back of the turn."""
    group, waiting = next(iter(lane.groups.items()))
    message = waiting.popleft()
    del lane.groups[group]
    if waiting:
        lane.groups[group] = waiting
    return message
