"""Where a record ends that can never be handled: as a pointer in the failures queue, so that it holds nobody up."""

from __future__ import annotations

import logging

import msgspec

from penstock_backbone.inventory import Consumer
from penstock_backbone.ports import Queues
from penstock_backbone.vocabulary import Outgoing, StreamRecord

REASON_CHARS_MAX = 1_000
COUNTED_RECORDS_MAX = 1_000
"""Whose attempts a process remembers; beyond that the one that failed first is forgotten."""

_log = logging.getLogger(__name__)


class Aside:
    """Counts how often records have failed in this process."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues
        self._attempts: dict[str, int] = {}

    async def gives_up(self, consumer: Consumer, record: StreamRecord, reason: str) -> bool:
        """True: it has failed so often that it was put aside."""
        self._attempts[record.sequence] = attempts = self._attempts.get(record.sequence, 0) + 1
        while len(self._attempts) > COUNTED_RECORDS_MAX:
            del self._attempts[next(iter(self._attempts))]
        return attempts >= consumer.attempts_max and await put_aside(self._queues, consumer, record, reason)


async def put_aside(queues: Queues, consumer: Consumer, record: StreamRecord, reason: str) -> bool:
    name, key = consumer.name, record.key
    pointer = {
        "consumer": name,
        "table": key.table,
        "key": {"pk": key.pk, "sk": key.sk},
        "sequence": record.sequence,
        "reason": reason[:REASON_CHARS_MAX],
    }
    (refusal,) = await queues.send(consumer.failures, [Outgoing(msgspec.json.encode(pointer).decode())])
    if refusal is not None:
        _log.error("%s cannot put a record aside, so it stops there: %s", name, refusal)
        return False
    _log.error("%s gave up the record %s of %s %s: %s", name, record.sequence, key.table, key.pk, reason)
    return True
