"""The relay: what was committed on projects and runs goes on the bus, and nothing else ever does."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice

from penstock_backbone.inventory import RELAY
from penstock_backbone.ports import Bus
from penstock_backbone.vocabulary import BATCH_ITEMS_MAX, BusEntry, Key, Origin, StreamRecord
from penstock_orchestrator.domain.envelopes import entries_of
from penstock_orchestrator.handlers.records import DAMAGE, Failure, damage, lowest


class Relay:
    """In order per item: an event leaves only when the item's event before it was accepted. Items do not wait for each other."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def __call__(self, records: Sequence[StreamRecord]) -> Failure | None:
        reasons: dict[int, str] = {}
        waiting = _queues(records, reasons)
        while waiting:
            keys = list(islice(waiting, BATCH_ITEMS_MAX))
            heads = [waiting[key][0] for key in keys]
            origin = Origin(RELAY, records[min(place for place, _ in heads)].sequence)
            answers = await self._bus.publish([entry for _, entry in heads], origin)
            for key, (place, _), refusal in zip(keys, heads, answers, strict=True):
                if refusal is not None:
                    reasons[place] = refusal
                    del waiting[key]
                    continue
                waiting[key].popleft()
                if not waiting[key]:
                    del waiting[key]
        return lowest(records, reasons)


def _queues(records: Sequence[StreamRecord], reasons: dict[int, str]) -> dict[Key, deque[tuple[int, BusEntry]]]:
    """Each item's events in order with their record's place. An item ends at its first damaged record."""
    waiting: dict[Key, deque[tuple[int, BusEntry]]] = {}
    damaged: set[Key] = set()
    for place, record in enumerate(records):
        if record.key in damaged:
            continue
        try:
            entries = entries_of(record)
        except DAMAGE as error:
            reasons[place] = damage(record, error)
            damaged.add(record.key)
            continue
        if entries:
            waiting.setdefault(record.key, deque()).extend((place, entry) for entry in entries)
    return waiting
