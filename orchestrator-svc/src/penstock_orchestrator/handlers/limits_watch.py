"""The limits watcher: an operator's new limit wakes the admission at once."""

from __future__ import annotations

from collections.abc import Sequence

from penstock_backbone.inventory import ADMISSION_QUEUE, LIMITS_PK, LIMITS_WATCHER
from penstock_backbone.ports import Queues
from penstock_backbone.vocabulary import Origin, StreamRecord
from penstock_orchestrator.domain.hints import limits_changed
from penstock_orchestrator.handlers.records import Failure


class LimitsWatcher:
    """One hint for all of a batch. Where the boards are handed out too, they say nothing new."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues

    async def __call__(self, records: Sequence[StreamRecord]) -> Failure | None:
        first = next((record for record in records if record.key.pk == LIMITS_PK), None)
        if first is None:
            return None
        (refusal,) = await self._queues.send(
            ADMISSION_QUEUE, [limits_changed()], Origin(LIMITS_WATCHER, first.sequence)
        )
        return None if refusal is None else Failure(first.sequence, refusal)
