"""Reads a consumer's records and retries them as Lambda's event source mapping does.

A batch restarts from its lowest failed record, after a pause that grows. A record that has failed attempts_max
times goes to the failures queue as a pointer, and the ones after it get their turn. What a broken surrounding
(a store that cannot be reached, missing rights) does to a batch is no fault of its records, and is not counted.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from penstock_backbone.errors import BackboneError, Invalid, TooLarge
from penstock_backbone.inventory import Consumer
from penstock_backbone.ports import Chance, Clock, Queues, Streams
from penstock_backbone.vocabulary import Outgoing, StreamRecord
from penstock_orchestrator.domain.backoff import backoff_seconds
from penstock_orchestrator.handlers.records import Failure, RecordHandler

WAIT_SECONDS = 20.0
REASON_CHARS_MAX = 1_000

_log = logging.getLogger(__name__)


class StreamConsumer:
    """`given_up` counts the records that went to the failures queue."""

    def __init__(
        self,
        definition: Consumer,
        handler: RecordHandler,
        streams: Streams,
        queues: Queues,
        *,
        clock: Clock,
        chance: Chance,
    ) -> None:
        self._definition = definition
        self._handler = handler
        self._streams = streams
        self._queues = queues
        self._clock = clock
        self._chance = chance
        self._limit = definition.batch_records
        self._is_behind = False
        self._failing = ""
        self._attempts = 0
        self.given_up = 0

    async def turn(self, wait_seconds: float = WAIT_SECONDS) -> None:
        """One batch. Raises BackboneError when the surroundings are broken; the same records then come again."""
        name = self._definition.name
        if self._is_behind:
            await self._streams.rewind(name)
        self._is_behind = True  # until these records are settled, whatever happens in between
        records = await self._streams.read(name, self._limit, wait_seconds)
        failure = await self._handle(records) if records else None
        if failure is None:
            if records:
                await self._streams.settle(name, records[-1].sequence)
                self._limit = min(self._definition.batch_records, self._limit * 2)
            self._is_behind = False
            return
        place = next(place for place, record in enumerate(records) if record.sequence == failure.sequence)
        if place > 0:
            await self._streams.settle(name, records[place - 1].sequence)
        await self._retry_or_give_up(records[place], failure)

    async def _handle(self, records: Sequence[StreamRecord]) -> Failure | None:
        try:
            return await self._handler(records)
        except (TooLarge, Invalid) as error:
            return self._bisect(records, error)
        except BackboneError:
            raise
        except Exception as error:  # noqa: BLE001  # a handler's defect on one record must not stop all others for ever
            return self._bisect(records, error)

    def _bisect(self, records: Sequence[StreamRecord], error: Exception) -> Failure:
        """Which record it was is not known, so the batch is halved until only that one is left."""
        _log.error("%s failed on a batch of %d records", self._definition.name, len(records), exc_info=error)
        self._limit = max(1, len(records) // 2)
        reason = f"{type(error).__name__}: {error}" if len(records) == 1 else ""
        return Failure(records[0].sequence, reason)

    async def _retry_or_give_up(self, record: StreamRecord, failure: Failure) -> None:
        if not failure.reason:
            return
        self._attempts = self._attempts + 1 if failure.sequence == self._failing else 1
        self._failing = failure.sequence
        if self._attempts >= self._definition.attempts_max:
            await self._give_up(record, failure.reason)
        else:
            await self._clock.sleep(backoff_seconds(self._attempts, self._chance.random()))

    async def _give_up(self, record: StreamRecord, reason: str) -> None:
        name, key = self._definition.name, record.key
        pointer = {
            "consumer": name,
            "table": key.table,
            "key": {"pk": key.pk, "sk": key.sk},
            "sequence": record.sequence,
            "reason": reason[:REASON_CHARS_MAX],
        }
        (refusal,) = await self._queues.send(
            self._definition.failures, [Outgoing(msgspec.json.encode(pointer).decode())]
        )
        if refusal is not None:
            _log.error("%s cannot put a record aside, so it stops there: %s", name, refusal)
            await self._clock.sleep(backoff_seconds(self._attempts, self._chance.random()))
            return
        await self._streams.settle(name, record.sequence)
        self.given_up += 1
        _log.error("%s gave up the record %s of %s %s: %s", name, record.sequence, key.table, key.pk, reason)
