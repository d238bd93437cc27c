"""Reads a consumer's records ahead, and retries them as Lambda's event source mapping does.

A batch restarts from its lowest failed record, after a pause that grows. A record that has failed attempts_max
times goes to the failures queue as a pointer, and the ones after it get their turn. What a broken surrounding
(a store that cannot be reached, a bus that throttles, missing rights) does to a batch is no fault of its records, and is
not counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from penstock_backbone.errors import BackboneError, Invalid, TooLarge
from penstock_backbone.inventory import Consumer
from penstock_backbone.ports import Chance, Clock, Queues, Streams
from penstock_backbone.vocabulary import StreamRecord
from penstock_orchestrator.domain.backoff import backoff_seconds
from penstock_orchestrator.handlers.aside import put_aside
from penstock_orchestrator.handlers.records import Failure, RecordHandler

WAIT_SECONDS = 20.0
AHEAD_BATCHES_MAX = 2
SETTLE_SECONDS = 0.1
"""For so long settling waits for more that is done: nobody else waits for it, and one call settles it all."""
UNSETTLED_RECORDS_MAX = 500
"""Handled and not yet settled: beyond that it is settled at once."""

_log = logging.getLogger(__name__)


class StreamConsumer:
    """Three duties: `read` fills a small store of records, `handle` empties it, and `settle` says what is done. Whatever
    fails, no record is skipped.

    `see` is shown the records as they are read. `given_up` counts the records that went to the failures queue.
    """

    def __init__(
        self,
        definition: Consumer,
        handler: RecordHandler,
        streams: Streams,
        queues: Queues,
        *,
        clock: Clock,
        chance: Chance,
        see: Callable[[Sequence[StreamRecord]], None] | None = None,
    ) -> None:
        self._definition = definition
        self._handler = handler
        self._streams = streams
        self._queues = queues
        self._clock = clock
        self._chance = chance
        self._see = see
        self._waiting: deque[StreamRecord] = deque()
        self._has_records = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_done = asyncio.Event()
        self._readings = 0
        self._is_behind = False
        self._done: str | None = None
        self._unsettled_records = 0
        self._limit = definition.batch_records
        self._failing = ""
        self._tries = 0
        self._attempts = 0
        self.name = definition.name
        self.given_up = 0

    async def read(self, wait_seconds: float = WAIT_SECONDS) -> None:
        """The next records, once there is room for them.

        After a read that failed nobody knows what was handed out, so it begins again after what was settled.
        """
        name = self._definition.name
        while len(self._waiting) >= AHEAD_BATCHES_MAX * self._definition.batch_records:
            self._has_room.clear()
            await self._has_room.wait()
        if self._is_behind:
            await self.settle_done()
            await self._streams.rewind(name)
            self._waiting.clear()
            self._readings += 1
        self._is_behind = True
        records = await self._streams.read(name, self._definition.batch_records, wait_seconds)
        self._is_behind = False
        if records:
            if self._see is not None:
                self._see(records)
                # Whoever saw them has its turn first, and the handler's work does not keep its request back.
                await self._clock.sleep(0)
            self._waiting.extend(records)
            self._has_records.set()

    async def handle(self) -> None:
        """One batch of what was read, once there is something. Raises BackboneError when the surroundings are broken."""
        if not self._waiting:
            self._has_records.clear()
            await self._has_records.wait()
        records = list(islice(self._waiting, self._limit))
        reading = self._readings
        failure = await self._handle(records)
        done = len(records)
        if failure is not None:
            done = next(place for place, record in enumerate(records) if record.sequence == failure.sequence)
            done += await self._retry_or_give_up(records[done], failure)
        else:
            self._limit = min(self._definition.batch_records, self._limit * 2)
        if reading == self._readings:
            self._forget(records[:done])
            if self._unsettled_records >= UNSETTLED_RECORDS_MAX:
                await self.settle_done()

    async def settle(self) -> None:
        """What is done, a moment after something was."""
        await self._has_done.wait()
        await self._clock.sleep(SETTLE_SECONDS)
        await self.settle_done()
        if self._done is None:
            self._has_done.clear()

    def _forget(self, done: Sequence[StreamRecord]) -> None:
        for _ in done:
            self._waiting.popleft()
        if done:
            self._done = done[-1].sequence
            self._unsettled_records += len(done)
            self._has_room.set()
            self._has_done.set()

    async def settle_done(self) -> None:
        """Does nothing the second time. When it fails, the next one settles more."""
        through = self._done
        if through is None:
            return
        await self._streams.settle(self._definition.name, through)
        if self._done == through:
            self._done = None
            self._unsettled_records = 0

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

    async def _retry_or_give_up(self, record: StreamRecord, failure: Failure) -> bool:
        """True: the record is put aside, so it is done as well."""
        if not failure.reason:
            return False
        if failure.sequence != self._failing:
            self._failing, self._tries, self._attempts = failure.sequence, 0, 0
        self._tries += 1
        self._attempts += failure.counts
        is_hopeless = failure.counts and self._attempts >= self._definition.attempts_max
        if is_hopeless and await put_aside(self._queues, self._definition, record, failure.reason):
            self.given_up += 1
            return True
        await self._clock.sleep(backoff_seconds(self._tries, self._chance.random()))
        return False
