"""What a stream consumer's handler answers: nothing, or where the batch must be taken up again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from penstock_backbone.vocabulary import StreamRecord

DAMAGE = (KeyError, TypeError, ValueError, AttributeError)
"""What reading an item raises that no writer of ours has made."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The first record of the batch that is not done. Records after it may be done; repeating them is harmless."""

    sequence: str
    reason: str


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
