"""Brings the hints of the admission queue to the admission: what arrives during one turn is taken together in the next.

Receiving, deciding and deleting are duties of their own, so that none waits for the answer of another. A message
is deleted only when what it points at is done; a turn that failed is repeated with the same hints.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from penstock_backbone.inventory import ADMISSION_QUEUE
from penstock_backbone.ports import Clock, Queues
from penstock_backbone.vocabulary import BATCH_ITEMS_MAX, Message
from penstock_orchestrator.domain.hints import Hints, read_hint
from penstock_orchestrator.handlers.admission import Admission

WAIT_SECONDS = 20.0
DELETE_SECONDS = 0.1
"""For so long deleting waits for more that is done: nobody waits for it."""
UNDONE_MESSAGES_MAX = 2_000
"""Received and not yet decided on; beyond that nothing is received, so that a slow table is not met with more work."""

UNDONE_ITEMS_MAX = 5_000
"""Projects and ended runs of which somebody in this process has told. They are kept whole, some with tens of kilobytes."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Inbox:
    """`messages` with what each one points at; `hints` of them all and of whoever else had some."""

    hints: Hints = field(default_factory=Hints)
    messages: list[tuple[str, Hints]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.hints or self.messages)

    def add(self, message: Message, hints: Hints) -> None:
        self.messages.append((message.receipt, hints))
        self.hints.merge(hints)

    def absorb(self, other: _Inbox) -> None:
        self.hints.merge(other.hints)
        self.messages += other.messages


class AdmissionQueue:
    def __init__(self, queues: Queues, admission: Admission, clock: Clock) -> None:
        self._queues = queues
        self._admission = admission
        self._clock = clock
        self._arrived = _Inbox()
        self._undone = _Inbox()
        self._done: list[str] = []
        self._has_hints = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_done = asyncio.Event()
        self._has_room.set()

    def hint(self, hints: Hints) -> None:
        """From somebody in this process: the sweep, the clock, and who reads the tables' records. Items of the latter are
        left out while many are undone, because messages tell of the same."""
        if self._arrived.hints.items + self._undone.hints.items >= UNDONE_ITEMS_MAX:
            hints.accepted.clear()
            hints.ended.clear()
        if hints:
            self._arrived.hints.merge(hints)
            self._has_hints.set()

    async def receive(self, wait_seconds: float = WAIT_SECONDS) -> None:
        """One batch of messages. What cannot be read stays in the queue until that puts it aside."""
        await self._has_room.wait()
        messages = await self._queues.receive(ADMISSION_QUEUE, BATCH_ITEMS_MAX, wait_seconds)
        for message in messages:
            hints = read_hint(message.body)
            if hints is None:
                _log.error("A message of the queue %s cannot be read: %.200s", ADMISSION_QUEUE, message.body)
            else:
                self._arrived.add(message, hints)
        if self._arrived.messages:
            self._has_hints.set()
        self._watch_room()

    async def decide(self) -> None:
        """One turn of the admission with all that has arrived, once something has. Raises what the turn raises."""
        if not self._undone:
            await self._has_hints.wait()
        self._has_hints.clear()
        arrived, self._arrived = self._arrived, _Inbox()
        self._undone.absorb(arrived)
        undone = self._undone
        turn = await self._admission.turn(undone.hints)
        if not turn.finished:
            undone.hints.everything = undone.hints.limits = False
        done = []
        left = []
        for receipt, hints in undone.messages:
            if hints.meets(undone.hints):
                left.append((receipt, hints))
            elif not hints.projects.keys() & turn.damaged:
                done.append(receipt)
        undone.messages = left
        self._watch_room()
        if done:
            self._done += done
            self._has_done.set()

    async def delete(self) -> None:
        """The messages that are done, a moment after there were some."""
        await self._has_done.wait()
        await self._clock.sleep(DELETE_SECONDS)
        self._has_done.clear()
        await self.delete_done()

    async def delete_done(self) -> None:
        done, self._done = self._done, []
        for start in range(0, len(done), BATCH_ITEMS_MAX):
            await self._queues.delete(ADMISSION_QUEUE, done[start : start + BATCH_ITEMS_MAX])

    def _watch_room(self) -> None:
        if len(self._arrived.messages) + len(self._undone.messages) < UNDONE_MESSAGES_MAX:
            self._has_room.set()
        else:
            self._has_room.clear()
