"""The Streams port by polling DynamoDB Streams: for hosts outside Lambda, where no event source mapping does it.

    sessions table:  CURSOR#<consumer> / <table>/<shard id>  {number, order, ended}

A position is the last settled sequence number of one shard. Two processes may read as one consumer: each
then gets every record, and the position only moves forward.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from penstock_backbone.aws.calls import Calls, Service
from penstock_backbone.aws.errors import Absent, IteratorExpired, Trimmed
from penstock_backbone.aws.settings import Names
from penstock_backbone.aws.shards import Backlog, Shard, position_item, readable, shard_name
from penstock_backbone.aws.values import from_item
from penstock_backbone.aws.wakeups import Wakeup, Wakeups
from penstock_backbone.errors import Fatal, Retryable
from penstock_backbone.inventory import SESSIONS, Consumer, Inventory
from penstock_backbone.local.feed import check_sequence
from penstock_backbone.ports import Clock, Tables
from penstock_backbone.vocabulary import (
    BATCH_ITEMS_MAX,
    Delete,
    Item,
    Key,
    Less,
    Missing,
    Put,
    Query,
    StreamRecord,
    Unsettled,
    Write,
)

RECORDS_MAX = 1000
"""GetRecords' limit."""
PAGES_MAX = 100
REFRESH_SECONDS = 10.0
"""How often the list of shards is read anew when no shard has ended: a child may be listed a moment after its parent ends."""
TRIES_MAX = 3
SEQUENCE_DIGITS_MAX = 64
"""DynamoDB's numbers have up to 40 digits, and ours adds a few for the shard."""

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """Pauses between polls: `busy_seconds` after records, growing to `idle_seconds` while nothing comes."""

    busy_seconds: float
    idle_seconds: float


EMULATOR_PACE = Pace(busy_seconds=0.02, idle_seconds=0.2)
CLOUD_PACE = Pace(busy_seconds=0.25, idle_seconds=1.0)
"""DynamoDB allows five reads a second and shard, for all consumers together."""


@dataclass(slots=True)
class _Follower:
    definition: Consumer
    wakeup: Wakeup
    pause_seconds: float
    seen: int = 0
    backlog: Backlog = field(default_factory=Backlog)
    positions: dict[str, Item] | None = None
    refreshed_at: float = 0.0
    must_refresh: bool = True
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


class AwsStreams:
    def __init__(
        self,
        calls: Calls,
        tables: Tables,
        names: Names,
        inventory: Inventory,
        *,
        clock: Clock,
        pace: Pace,
        wakeups: Wakeups,
    ) -> None:
        self._calls = calls
        self._tables = tables
        self._names = names
        self._clock = clock
        self._pace = pace
        self._followers = {
            consumer.name: _Follower(consumer, wakeups.by_consumer[consumer.name], pace.busy_seconds)
            for consumer in inventory.consumers
        }

    async def read(self, consumer: str, limit: int, wait_seconds: float) -> list[StreamRecord]:
        follower = self._follower(consumer)
        end = self._clock.monotonic() + wait_seconds
        async with follower.reading:
            while True:
                if not follower.backlog.waiting:
                    await self._poll(follower, limit)
                records = follower.backlog.take(limit)
                left = end - self._clock.monotonic()
                if records or left <= 0:
                    return records
                await self._pause(follower, left)

    async def settle(self, consumer: str, through: str) -> None:
        follower = self._follower(consumer)
        settled = follower.backlog.through(check_sequence(through, SEQUENCE_DIGITS_MAX))
        last = {fetched.shard.name: fetched for fetched in settled}
        writes = [self._position(follower, name, fetched.number) for name, fetched in last.items()]
        await self._save(writes)
        follower.backlog.forget(settled)

    async def rewind(self, consumer: str) -> None:
        self._follower(consumer).backlog.rewind()

    def _follower(self, consumer: str) -> _Follower:
        follower = self._followers.get(consumer)
        if follower is None:
            raise Fatal(f"there is no consumer {consumer!r} in the inventory")
        return follower

    async def _pause(self, follower: _Follower, left: float) -> None:
        """Until the next poll is due, or sooner when this process itself wrote to one of the tables."""
        seconds = min(follower.pause_seconds, left)
        follower.pause_seconds = min(follower.pause_seconds * 2, self._pace.idle_seconds)
        begun = self._clock.monotonic()
        if follower.wakeup.count == follower.seen:
            await follower.wakeup.bell.wait(self._clock, seconds)
        rest = min(seconds, self._pace.busy_seconds) - (self._clock.monotonic() - begun)
        if rest > 0:
            await self._clock.sleep(rest)

    # --- fetching -----------------------------------------------------------------------------

    async def _poll(self, follower: _Follower, limit: int) -> None:
        """One round over the open shards. Raises only when no shard could give anything."""
        now = self._clock.monotonic()
        follower.seen = follower.wakeup.count
        if follower.must_refresh or now - follower.refreshed_at >= REFRESH_SECONDS:
            await self._refresh(follower)
            follower.refreshed_at = now
        shards = readable(follower.backlog.shards)
        results = await asyncio.gather(
            *(self._fetch(follower, shard, min(limit, RECORDS_MAX)) for shard in shards), return_exceptions=True
        )
        if follower.backlog.waiting:
            follower.pause_seconds = self._pace.busy_seconds
            return
        for result in results:
            if result is not None:
                raise result

    async def _fetch(self, follower: _Follower, shard: Shard, limit: int) -> None:
        for _ in range(TRIES_MAX):
            try:
                if shard.iterator is None:
                    shard.iterator = await self._iterator(shard)
                answer = await self._calls.call(
                    Service.STREAMS, "get_records", ShardIterator=shard.iterator, Limit=limit
                )
            except IteratorExpired:
                shard.iterator = None
            except Trimmed:
                _LOGGER.warning(
                    "records of %s after %s were read too late and are gone; reading on from the oldest one left",
                    shard.name,
                    shard.read,
                )
                shard.iterator = shard.read = None
            except Absent:
                # The table or its stream was made anew: the next poll lists what there is now.
                shard.iterator = None
                follower.must_refresh = True
                return
            else:
                self._take_in(follower, shard, answer)
                return
        raise Retryable(f"the shard {shard.name} could not be read in {TRIES_MAX} tries: try again")

    def _take_in(self, follower: _Follower, shard: Shard, answer: Mapping[str, Any]) -> None:
        for raw in answer["Records"]:
            change = raw["dynamodb"]
            key = Key(shard.table, change["Keys"]["pk"]["S"], change["Keys"]["sk"]["S"])
            item = from_item(change["NewImage"]) if "NewImage" in change else None
            follower.backlog.add(shard, change["SequenceNumber"], key, item)
        shard.iterator = answer.get("NextShardIterator")
        if shard.iterator is None:
            shard.exhausted = follower.must_refresh = True

    async def _iterator(self, shard: Shard) -> str:
        where: dict[str, str] = {"ShardIteratorType": "TRIM_HORIZON"}
        if shard.read is not None:
            where = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": shard.read}
        answer = await self._calls.call(
            Service.STREAMS, "get_shard_iterator", StreamArn=shard.stream, ShardId=shard.shard_id, **where
        )
        iterator: str = answer["ShardIterator"]
        return iterator

    # --- shards and positions -----------------------------------------------------------------

    async def _refresh(self, follower: _Follower) -> None:
        """Learns new shards, and drops those that are over and no longer listed."""
        positions = follower.positions
        if positions is None:
            positions = follower.positions = await self._load_positions(follower)
        listed: dict[str, Shard] = {}
        for found in await asyncio.gather(*(self._list_shards(table) for table in follower.definition.tables)):
            listed.update((shard.name, shard) for shard in found)
        known = follower.backlog.shards
        for name, shard in listed.items():
            if name in known and known[name].stream == shard.stream:
                continue
            position = positions.get(name)
            if position is not None:
                shard.read, shard.exhausted = position["number"] or None, position["ended"]
            follower.backlog.meet(shard)
        for name in [name for name, shard in known.items() if name not in listed and not shard.unsettled]:
            del known[name]
        gone = [name for name in positions if name not in known]
        await self._save(self._mark_ended(follower, positions))
        await self._save([Delete(self._position_key(follower, name)) for name in gone])
        for name in gone:
            del positions[name]
        follower.must_refresh = False

    async def _load_positions(self, follower: _Follower) -> dict[str, Item]:
        positions: dict[str, Item] = {}
        query = Query(SESSIONS, _partition(follower))
        for _ in range(PAGES_MAX):
            page = await self._tables.query(query)
            positions.update((item["sk"], item) for item in page.items)
            if page.cursor is None:
                break
            query = Query(SESSIONS, query.pk, cursor=page.cursor)
        return positions

    async def _list_shards(self, table: str) -> list[Shard]:
        answer = await self._calls.call(Service.STREAMS, "list_streams", TableName=self._names.physical(table))
        streams = sorted(answer["Streams"], key=lambda stream: str(stream["StreamLabel"]))
        if not streams:
            raise Fatal(f"the table {self._names.physical(table)} has no stream: create the stack's resources anew")
        arn = streams[-1]["StreamArn"]
        shards: list[Shard] = []
        page: dict[str, str] = {}
        for _ in range(PAGES_MAX):
            answer = await self._calls.call(Service.STREAMS, "describe_stream", StreamArn=arn, **page)
            description = answer["StreamDescription"]
            for raw in description["Shards"]:
                parent = raw.get("ParentShardId")
                shards.append(
                    Shard(
                        name=shard_name(table, raw["ShardId"]),
                        stream=arn,
                        shard_id=raw["ShardId"],
                        table=table,
                        parent=shard_name(table, parent) if parent else None,
                    )
                )
            if "LastEvaluatedShardId" not in description:
                break
            page = {"ExclusiveStartShardId": description["LastEvaluatedShardId"]}
        return shards

    def _position(self, follower: _Follower, name: str, number: str) -> Put:
        item = position_item(number, ended=False)
        if follower.positions is not None:
            follower.positions[name] = item
        return Put(self._position_key(follower, name), item, when=Missing("pk") | Less("order", item["order"]))

    def _mark_ended(self, follower: _Follower, positions: dict[str, Item]) -> list[Put]:
        """A shard that is over is not asked again, not even by a new process after its records are gone."""
        writes = []
        for name, shard in follower.backlog.shards.items():
            if shard.exhausted and not shard.unsettled and not positions.get(name, {}).get("ended"):
                positions[name] = position_item(shard.read or "", ended=True)
                writes.append(Put(self._position_key(follower, name), positions[name]))
        return writes

    def _position_key(self, follower: _Follower, name: str) -> Key:
        return Key(SESSIONS, _partition(follower), name)

    async def _save(self, writes: Sequence[Write]) -> None:
        """Refused: another process of this consumer is further on."""
        for start in range(0, len(writes), BATCH_ITEMS_MAX):
            for outcome in await self._tables.write(writes[start : start + BATCH_ITEMS_MAX]):
                if isinstance(outcome, Unsettled):
                    raise Retryable(f"a stream's position could not be saved ({outcome.reason}): settle it again")


def _partition(follower: _Follower) -> str:
    return f"CURSOR#{follower.definition.name}"
