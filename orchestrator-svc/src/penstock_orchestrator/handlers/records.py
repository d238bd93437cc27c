"""What a stream consumer's handler answers: nothing, or where the batch must be taken up again. And how records that
may be damaged or full are written."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from penstock_backbone.errors import Invalid, TooLarge
from penstock_backbone.ports import Tables
from penstock_backbone.vocabulary import BATCH_ITEMS_MAX, NotNow, Outcome, StreamRecord, Unsettled, Write

DAMAGE = (KeyError, TypeError, ValueError, AttributeError)
"""What reading an item raises that no writer of ours has made."""


_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failure:
    """The first record of the batch that is not done. Records after it may be done; repeating them is harmless."""

    sequence: str
    reason: str

    @property
    def counts(self) -> bool:
        """False: it is the surroundings' fault and passes, or nobody knows yet which record it is. So it is tried again however
        often that takes."""
        return bool(self.reason) and not isinstance(self.reason, NotNow)


class RecordHandler(Protocol):
    """Raises Retryable when nothing is known about the batch, and Fatal when the surroundings are broken."""

    async def __call__(self, records: Sequence[StreamRecord]) -> Failure | None: ...


def lowest(records: Sequence[StreamRecord], reasons: dict[int, str]) -> Failure | None:
    """`reasons` by the record's place in the batch."""
    if not reasons:
        return None
    place = min(reasons)
    return Failure(records[place].sequence, reasons[place])


def damage(record: StreamRecord, error: Exception) -> str:
    return f"{record.key.table} {record.key.pk} cannot be read: {type(error).__name__}: {error}"


async def write_each(tables: Tables, writes: Sequence[Write]) -> list[Outcome]:
    """In batches. A write that is impossible by itself, because its item has no room left, is Unsettled also where it
    stands alone: it holds nobody else up."""
    outcomes: list[Outcome] = []
    for start in range(0, len(writes), BATCH_ITEMS_MAX):
        batch = writes[start : start + BATCH_ITEMS_MAX]
        try:
            outcomes += await tables.write(batch)
        except (Invalid, TooLarge) as error:
            if len(batch) > 1:
                raise
            _log.error("%s cannot be written: %s", batch[0].key.pk, error)
            outcomes.append(Unsettled(str(error)))
    return outcomes
