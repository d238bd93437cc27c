"""What a consumer knows of its streams' shards, and which of them it may read now. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from penstock_backbone.errors import Invalid
from penstock_backbone.vocabulary import Item, Key, StreamRecord

UNSETTLED_RECORDS_MAX = 10_000
ORDINAL_DIGITS = 6
SEQUENCE_DIGITS_MAX = 40


@dataclass(slots=True, eq=False)
class Shard:
    """`name` is unique over the consumer's tables, `ordinal` in this process. `read` is the last sequence number that was fetched;
    `unsettled` counts fetched records that are not settled; `exhausted`: closed, and nothing left to fetch.
    """

    name: str
    stream: str
    shard_id: str
    table: str
    parent: str | None
    read: str | None = None
    iterator: str | None = None
    exhausted: bool = False
    unsettled: int = 0
    ordinal: int = 0


@dataclass(frozen=True, slots=True)
class Fetched:
    """`number` is DynamoDB's sequence number, which is unique within the shard only."""

    record: StreamRecord
    shard: Shard
    number: str


@dataclass(slots=True)
class Backlog:
    """Records on their way to a consumer: fetched and not yet handed out, and handed out but not yet settled."""

    shards: dict[str, Shard] = field(default_factory=dict)
    waiting: deque[Fetched] = field(default_factory=deque)
    handed: dict[str, Fetched] = field(default_factory=dict)
    shards_met: int = 0

    def meet(self, shard: Shard) -> None:
        self.shards_met += 1
        shard.ordinal = self.shards_met
        self.shards[shard.name] = shard

    def add(self, shard: Shard, number: str, key: Key, item: Item | None) -> None:
        """The sequence that the consumer sees grows within a shard as DynamoDB's does, and names the shard too."""
        sequence = number + str(shard.ordinal).zfill(ORDINAL_DIGITS)
        shard.read = number
        shard.unsettled += 1
        self.waiting.append(Fetched(StreamRecord(sequence, key, item), shard, number))

    def take(self, limit: int) -> list[StreamRecord]:
        if len(self.handed) >= UNSETTLED_RECORDS_MAX:
            raise Invalid(f"{len(self.handed)} records were read and none was settled: settle or rewind before reading")
        taken = [self.waiting.popleft() for _ in range(min(limit, len(self.waiting)))]
        self.handed.update((fetched.record.sequence, fetched) for fetched in taken)
        return [fetched.record for fetched in taken]

    def through(self, sequence: str) -> list[Fetched]:
        """What was handed out up to and including `sequence`; [] when that was settled before or never handed out."""
        if sequence not in self.handed:
            return []
        end = next(place for place, known in enumerate(self.handed, start=1) if known == sequence)
        return list(islice(self.handed.values(), end))

    def forget(self, settled: Iterable[Fetched]) -> None:
        for fetched in settled:
            if self.handed.pop(fetched.record.sequence, None) is not None:
                fetched.shard.unsettled -= 1

    def rewind(self) -> None:
        self.waiting.extendleft(reversed(self.handed.values()))
        self.handed.clear()


def readable(shards: Mapping[str, Shard]) -> list[Shard]:
    """A child is read only when its parent has been fetched to the end (or is gone), so each item's order holds."""
    return [
        shard
        for shard in shards.values()
        if not shard.exhausted
        and (shard.parent is None or shard.parent not in shards or shards[shard.parent].exhausted)
    ]


def shard_name(table: str, shard_id: str) -> str:
    return f"{table}/{shard_id}"


def position_item(number: str, *, ended: bool) -> Item:
    """`order` sorts as the numbers do."""
    return {"number": number, "order": number.zfill(SEQUENCE_DIGITS_MAX), "ended": ended}
