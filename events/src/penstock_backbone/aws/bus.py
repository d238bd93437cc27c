"""The Bus port over EventBridge."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from penstock_backbone.aws.batches import Sized, answers, batches
from penstock_backbone.aws.calls import Calls, Service
from penstock_backbone.aws.settings import Names
from penstock_backbone.errors import Invalid
from penstock_backbone.local.limits import EVENT_ENTRY_BYTES_MAX
from penstock_backbone.local.routing import refusal
from penstock_backbone.vocabulary import BATCH_ITEMS_MAX, BusEntry, NotNow, Origin

ENTRIES_MAX = 10
"""PutEvents' limit."""
_FOR_GOOD = frozenset({"InvalidArgument", "MalformedDetail", "RedactionFailure"})
"""PutEvents' codes that are an event's own fault. The others are the service's, or of rights that somebody can give."""


class AwsBus:
    def __init__(self, calls: Calls, names: Names) -> None:
        self._calls = calls
        self._names = names

    async def publish(self, entries: Sequence[BusEntry], origin: Origin | None = None) -> list[str | None]:
        """The batches go out side by side: EventBridge promises no order, and readers order by `sequence`."""
        del origin  # an event is stored by EventBridge before it answers
        if len(entries) > BATCH_ITEMS_MAX:
            raise Invalid(f"{len(entries)} events in one call: {BATCH_ITEMS_MAX} at most")
        reasons: list[str | None] = [refusal(entry) for entry in entries]
        sized = [
            Sized(place, len(entry.source) + len(entry.detail_type) + len(entry.detail.encode()))
            for place, entry in enumerate(entries)
            if reasons[place] is None
        ]
        groups = batches(sized, count_max=ENTRIES_MAX, bytes_max=EVENT_ENTRY_BYTES_MAX)
        results = await asyncio.gather(
            *(self._put([entries[place] for place in group]) for group in groups), return_exceptions=True
        )
        for place, reason in answers(groups, results):
            reasons[place] = reason
        return reasons

    async def _put(self, entries: Sequence[BusEntry]) -> list[str | None]:
        request = [
            {
                "EventBusName": self._names.bus,
                "Source": entry.source,
                "DetailType": entry.detail_type,
                "Detail": entry.detail,
            }
            for entry in entries
        ]
        answer: dict[str, Any] = await self._calls.call(Service.BUS, "put_events", Entries=request)
        return [_refusal(entry) if entry.get("ErrorCode") else None for entry in answer["Entries"]]


def _refusal(entry: Mapping[str, Any]) -> str:
    reason = f"{entry['ErrorCode']}: {entry.get('ErrorMessage', '')}"
    return reason if entry["ErrorCode"] in _FOR_GOOD else NotNow(reason)
