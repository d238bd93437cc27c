"""Generated programs that write and read the streams of what they write: each item's changes are told as the memory
engine tells them, in their order, once, and again where they were not settled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeAlias, assert_never

from hypothesis import strategies as st
from tests.contract.contract_inventory import ALONG, CONTRACT, LATE, OTHERS, TELLING, TELLING_TOO, THINGS
from tests.contract.programs import Writing, agree, as_text, beginnings, is_spared, own, writings
from tests.contract.spared import Spare

from penstock_backbone.engines import Engine
from penstock_backbone.inventory import Inventory
from penstock_backbone.memory import MemoryEngine
from penstock_backbone.ports import Streams
from penstock_backbone.system import SystemClock, SystemIds
from penstock_backbone.vocabulary import Key, StreamRecord

SOON_SECONDS = 5.0
"""For a record that must come: on AWS a stream may be seconds behind."""
READS_MAX = 200
ALL = 1000


class Read(NamedTuple):
    limit: int


class Settle(NamedTuple):
    """Through one of the records that were handed out and are not settled yet: which, is a number of any size."""

    through: int


class Rewind(NamedTuple):
    pass


Reading: TypeAlias = Read | Settle | Rewind
StreamStep: TypeAlias = Writing | Reading


class Where(NamedTuple):
    """The two tables of a program, and who reads both: `along` while it goes on, `late` at its end, if there is one."""

    inventory: Inventory
    tables: dict[str, str]
    along: str
    late: str | None


CONTRACT_WHERE = Where(CONTRACT, {THINGS: TELLING, OTHERS: TELLING_TOO}, ALONG, LATE)

readings: st.SearchStrategy[Reading] = st.one_of(
    st.builds(Read, st.integers(1, 4)),
    st.builds(Settle, st.integers(0, 9)),
    st.builds(Rewind),
)
stream_programs: st.SearchStrategy[list[StreamStep]] = st.builds(
    lambda first, rest: [("write", first), *rest], beginnings, st.lists(writings | readings, min_size=1, max_size=12)
)


class Follower:
    """Reads as one consumer. `story` holds what has happened to each item, as text; all of it must be told."""

    def __init__(self, streams: Streams, consumer: str, story: dict[Key, list[str]], pk: str) -> None:
        self._streams = streams
        self._consumer = consumer
        self._story = story
        self._pk = pk
        self._told: Counter[Key] = Counter()
        self._settled: Counter[Key] = Counter()
        self._handed: list[StreamRecord] = []

    async def step(self, reading: Reading) -> None:
        match reading:
            case Read(limit):
                await self._read(limit)
            case Settle(through):
                await self._settle(through)
            case Rewind():
                await self._streams.rewind(self._consumer)
                self._handed.clear()
                self._told = Counter(self._settled)
            case _:
                assert_never(reading)

    async def to_the_end(self) -> None:
        for _ in range(READS_MAX):
            if not self._missing():
                break
            await self._read(ALL)
        assert not self._missing(), f"{self._missing()} changes are not told in {READS_MAX} reads"
        await self._read(ALL)
        await self._settle(len(self._handed) - 1)

    def resumed(self, streams: Streams) -> Follower:
        """As a new process would go on."""
        after = Follower(streams, self._consumer, self._story, self._pk)
        after._told, after._settled = Counter(self._settled), Counter(self._settled)
        return after

    def _missing(self) -> int:
        return sum(map(len, self._story.values())) - self._told.total()

    async def _read(self, limit: int) -> None:
        missing = self._missing()
        records = await self._streams.read(self._consumer, limit, SOON_SECONDS if missing else 0.0)
        assert len(records) <= limit, f"{len(records)} records were read, and {limit} asked for"
        assert records or not missing, f"{missing} changes are not told within {SOON_SECONDS:.0f} s"
        for record in records:
            self._handed.append(record)
            if record.key.pk.startswith(self._pk):  # another program may have been cut short
                self._hear(record)

    def _hear(self, record: StreamRecord) -> None:
        happened = self._story.get(record.key, [])
        place = self._told[record.key]
        assert place < len(happened), f"{record.key} is told to have changed to {record.item}, and has not"
        assert as_text(record.item) == happened[place], f"change {place} of {record.key}"
        self._told[record.key] += 1

    async def _settle(self, through: int) -> None:
        if not self._handed:
            return
        count = 1 + through % len(self._handed)
        await self._streams.settle(self._consumer, self._handed[count - 1].sequence)
        self._settled.update(record.key for record in self._handed[:count] if record.key.pk.startswith(self._pk))
        del self._handed[:count]


async def compare_streams(
    engine: Engine,
    program: Sequence[StreamStep],
    where: Where = CONTRACT_WHERE,
    another: Callable[[], Awaitable[Engine]] | None = None,
    spared: Sequence[Spare] = (),
) -> None:
    """`another`: a new process, which then reads what this one has left."""
    pk = SystemIds().new("pk")
    model = MemoryEngine(SystemClock(), SystemIds(), where.inventory)
    story: dict[Key, list[str]] = {}
    along = Follower(engine.streams, where.along, story, pk)
    for step in program:
        if isinstance(step, Read | Settle | Rewind):
            await along.step(step)
            continue
        own_step = own(step, pk, where.tables)
        if await is_spared(spared, model.tables, own_step):
            continue
        await agree(engine.tables, model.tables, own_step)
        for record in await model.streams.read(where.along, ALL, 0.0):
            story.setdefault(record.key, []).append(as_text(record.item))
    if another is not None:
        successor = await another()
        await along.resumed(successor.streams).to_the_end()
        await successor.close()
    else:
        await along.to_the_end()
    if where.late is not None:
        await Follower(engine.streams, where.late, story, pk).to_the_end()
