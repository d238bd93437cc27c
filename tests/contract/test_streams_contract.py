"""Streams: every commit once, in order for each item, from where the consumer last settled."""

from __future__ import annotations

import asyncio

import pytest
from tests.contract.contract_inventory import WANTED
from tests.contract.rigs import Rig
from tests.contract.waiting import in_background
from tests.contract.writing import key, put

from penstock_backbone.embedded.engine import EmbeddedEngine
from penstock_backbone.engines import Engine
from penstock_backbone.errors import BackboneError, Invalid
from penstock_backbone.memory import MemoryEngine
from penstock_backbone.ports import Streams
from penstock_backbone.vocabulary import (
    Cancelled,
    Committed,
    Delete,
    Equals,
    Exists,
    Item,
    Key,
    Missing,
    Put,
    StreamRecord,
    Update,
    Written,
)

pytestmark = pytest.mark.anyio

READS_MAX = 200
SOON_SECONDS = 3.0
NOTHING_SECONDS = 0.05


def table(name: str) -> str:
    return f"stream-{name}"


def reader(name: str) -> str:
    return f"{name}-reader"


async def read_exactly(streams: Streams, consumer: str, count: int, limit: int = 100) -> list[StreamRecord]:
    """So many records and no more: whatever is wrong was committed before, and would follow at once."""
    found: list[StreamRecord] = []
    for _ in range(READS_MAX):
        if len(found) >= count:
            break
        records = await streams.read(consumer, limit, SOON_SECONDS)
        assert records, f"only {len(found)} of {count} records came"
        assert len(records) <= limit
        found += records
    assert len(found) == count
    assert await streams.read(consumer, limit, NOTHING_SECONDS) == []
    return found


def seen(records: list[StreamRecord]) -> list[tuple[str, Item | None]]:
    """What each record says, without what every item has."""
    return [
        (
            record.key.sk,
            record.item and {name: value for name, value in record.item.items() if name not in ("pk", "sk")},
        )
        for record in records
    ]


async def test_every_change_of_an_item_is_a_record_in_order(engine: Engine, pk: str) -> None:
    where = key(pk, "a", table("ordered"))
    await engine.tables.write([Put(where, {"n": 1})])
    await engine.tables.write([Update(where, {"n": 2, "m": {"x": [True, None, b"b"]}})])
    await engine.tables.write([Put(where, {"n": 3})])
    records = await read_exactly(engine.streams, reader("ordered"), 3)
    assert [record.key for record in records] == [where] * 3
    assert [record.item for record in records] == [
        {"pk": pk, "sk": "a", "n": 1},
        {"pk": pk, "sk": "a", "n": 2, "m": {"x": [True, None, b"b"]}},
        {"pk": pk, "sk": "a", "n": 3},
    ]
    assert all(record.sequence.isdecimal() for record in records)
    assert len({record.sequence for record in records}) == 3
    await engine.streams.settle(reader("ordered"), records[-1].sequence)


async def test_what_changed_nothing_leaves_no_record(engine: Engine, pk: str) -> None:
    where = key(pk, "a", table("quiet"))
    await engine.tables.write([Put(where, {"n": 1, "m": {"x": 1}})])
    await engine.tables.write([Put(where, {"n": 1, "m": {"x": 1}})])
    await engine.tables.write([Update(where, {"n": 1})])
    await engine.tables.write([Update(where, {"m/x": 1}, remove=("gone",))])
    await engine.tables.write([Delete(key(pk, "never", table("quiet")))])
    await engine.tables.transact([Update(where, {"n": 1})])
    await engine.tables.write([Update(where, {"n": 2})])
    records = await read_exactly(engine.streams, reader("quiet"), 2)
    assert seen(records) == [("a", {"n": 1, "m": {"x": 1}}), ("a", {"n": 2, "m": {"x": 1}})]


async def test_a_change_of_type_alone_is_a_record(engine: Engine, pk: str) -> None:
    where = key(pk, "a", table("sparing"))
    await engine.tables.write([Put(where, {"n": 1})])
    await engine.tables.write([Put(where, {"n": True})])
    records = await read_exactly(engine.streams, reader("sparing"), 2)
    assert [repr(record.item and record.item["n"]) for record in records] == ["1", "True"]


async def test_what_was_refused_leaves_no_record(engine: Engine, pk: str) -> None:
    where = key(pk, "a", table("cancelled"))
    await engine.tables.write([Put(where, {"n": 1})])
    await engine.tables.write([Put(where, {"n": 2}, when=Missing("pk"))])
    await engine.tables.write([Update(where, {"n": 2}, when=Equals("n", 7)), Delete(key(pk, "b", where.table))])
    await engine.tables.write([Update(key(pk, "c", where.table), {"n": 2})])
    await engine.tables.write([Update(where, {"n": 3})])
    assert seen(await read_exactly(engine.streams, reader("cancelled"), 2)) == [("a", {"n": 1}), ("a", {"n": 3})]


async def test_a_transaction_appears_and_a_cancelled_one_does_not(engine: Engine, pk: str) -> None:
    name = table("transacted")
    await put(engine.tables, key(pk, "a", name), {"n": 1})
    committed = await engine.tables.transact(
        [Update(key(pk, "a", name), {"n": 2}), Put(key(pk, "b", name), {"n": 1}), Delete(key(pk, "never", name))]
    )
    cancelled = await engine.tables.transact(
        [Update(key(pk, "a", name), {"n": 3}), Put(key(pk, "c", name), {}), Update(key(pk, "nothing", name), {"n": 1})]
    )
    assert committed == Committed()
    assert isinstance(cancelled, Cancelled)
    await put(engine.tables, key(pk, "a", name), {"n": 4})
    records = seen(await read_exactly(engine.streams, reader("transacted"), 4))
    assert [entry for entry in records if entry[0] == "a"] == [("a", {"n": 1}), ("a", {"n": 2}), ("a", {"n": 4})]
    assert [entry for entry in records if entry[0] != "a"] == [("b", {"n": 1})]


async def test_a_deleted_item_is_a_record_without_an_item(engine: Engine, pk: str) -> None:
    where = key(pk, "a", table("ended"))
    await engine.tables.write([Put(where, {"n": 1})])
    await engine.tables.write([Delete(where, when=Exists("pk"))])
    await engine.tables.write([Put(where, {"n": 2})])
    records = await read_exactly(engine.streams, reader("ended"), 3)
    assert seen(records) == [("a", {"n": 1}), ("a", None), ("a", {"n": 2})]
    assert records[1].key == where


async def test_a_guard_and_its_followers_are_on_the_stream(engine: Engine, pk: str) -> None:
    name = table("guarded")
    await engine.tables.write_after(Put(key(pk, "head", name), {"n": 1}), [Put(key(pk, sk, name), {}) for sk in "ab"])
    await engine.tables.write_after(Put(key(pk, "head", name), {}, when=Missing("pk")), [Put(key(pk, "c", name), {})])
    records = await read_exactly(engine.streams, reader("guarded"), 3)
    assert sorted(record.key.sk for record in records) == ["a", "b", "head"]


async def test_a_reader_takes_what_it_can_and_comes_back_for_the_rest(engine: Engine, pk: str) -> None:
    keys = [key(pk, f"{n:02}", table("paged")) for n in range(25)]
    await engine.tables.write([Put(where, {}) for where in keys])
    records = await read_exactly(engine.streams, reader("paged"), 25, limit=4)
    assert sorted(record.key.sk for record in records) == [where.sk for where in keys]


async def test_many_writers_keep_each_items_order_and_lose_nothing(engine: Engine, pk: str) -> None:
    name = table("crowded")

    async def write_all(sk: str) -> None:
        for n in range(10):
            assert await engine.tables.write([Put(key(pk, sk, name), {"n": n})]) == [Written()]

    await asyncio.gather(*(write_all(sk) for sk in "abcdef"))
    records = await read_exactly(engine.streams, reader("crowded"), 60)
    for sk in "abcdef":
        assert [item and item["n"] for record, item in seen(records) if record == sk] == list(range(10))


async def test_a_waiting_reader_is_woken_by_a_commit(engine: Engine, pk: str) -> None:
    async with in_background(engine.streams.read(reader("awaited"), 10, 20.0)) as waiting:
        await engine.tables.write([Put(key(pk, "a", table("awaited")), {"n": 1})])
        async with asyncio.timeout(SOON_SECONDS):
            assert seen(await waiting) == [("a", {"n": 1})]


async def test_two_consumers_of_one_table_do_not_take_from_each_other(engine: Engine, pk: str) -> None:
    """And a consumer of two tables reads both."""
    for sk in "ab":
        await engine.tables.write([Put(key(pk, sk, table("doubled")), {})])
    assert len(await read_exactly(engine.streams, reader("doubled"), 2)) == 2
    found: list[Key] = []
    for _ in range(READS_MAX):
        records = await engine.streams.read("pair-reader", 100, NOTHING_SECONDS)
        if not records:
            break
        found += [record.key for record in records]
    assert [where for where in found if where.pk == pk] == [key(pk, sk, table("doubled")) for sk in "ab"]


async def test_what_was_read_but_not_settled_comes_again_after_a_rewind(engine: Engine, pk: str) -> None:
    name, consumer = table("rewound"), reader("rewound")
    for n in range(6):
        await engine.tables.write([Put(key(pk, "a", name), {"n": n})])
    first = await read_exactly(engine.streams, consumer, 6)
    await engine.streams.settle(consumer, first[1].sequence)
    await engine.streams.rewind(consumer)
    again = await read_exactly(engine.streams, consumer, 4)
    assert again == first[2:]
    await engine.streams.rewind(consumer)
    await engine.streams.rewind(consumer)
    assert await read_exactly(engine.streams, consumer, 4) == first[2:]
    await engine.streams.settle(consumer, first[5].sequence)
    await engine.streams.rewind(consumer)
    await engine.tables.write([Put(key(pk, "a", name), {"n": 6})])
    assert seen(await read_exactly(engine.streams, consumer, 1)) == [("a", {"n": 6})]


async def test_a_new_process_begins_after_the_last_settled_record(rig: Rig, pk: str) -> None:
    name, consumer = table("resumed"), reader("resumed")
    for n in range(6):
        await rig.engine.tables.write([Put(key(pk, "a", name), {"n": n})])
    first = await read_exactly(rig.engine.streams, consumer, 6)
    await rig.engine.streams.settle(consumer, first[2].sequence)
    await rig.engine.tables.write([Put(key(pk, "a", name), {"n": 6})])
    await rig.crash()
    again = seen(await read_exactly(rig.engine.streams, consumer, 4))
    assert again == [("a", {"n": n}) for n in (3, 4, 5, 6)]


async def test_settling_what_was_settled_before_changes_nothing(engine: Engine, pk: str) -> None:
    name, consumer = table("settled"), reader("settled")
    for n in range(3):
        await engine.tables.write([Put(key(pk, "a", name), {"n": n})])
    records = await read_exactly(engine.streams, consumer, 3)
    await engine.streams.settle(consumer, records[2].sequence)
    await engine.streams.settle(consumer, records[0].sequence)
    await engine.streams.settle(consumer, records[2].sequence)
    await engine.streams.rewind(consumer)
    assert await engine.streams.read(consumer, 10, NOTHING_SECONDS) == []


async def test_a_consumer_that_the_inventory_does_not_name_is_refused(engine: Engine) -> None:
    with pytest.raises(BackboneError):
        await engine.streams.read("nobody", 10, 0)


@pytest.mark.parametrize("text", ["", "x", "-1", "1" * 5000, "١"])
async def test_settling_what_is_no_sequence_is_refused(engine: Engine, text: str) -> None:
    with pytest.raises(Invalid):
        await engine.streams.settle(reader("ordered"), text)


async def test_a_consumer_of_one_partition_gets_all_of_it_in_order(engine: Engine) -> None:
    """On AWS the function's mapping leaves the others out; who reads the stream itself is given them too."""
    changes = [(pk, str(number)) for number in range(3) for pk in (WANTED, "unwanted")]
    for pk, sk in changes:
        await put(engine.tables, Key(table("parted"), pk, sk), {"n": 1})
    found: list[Key] = []
    for _ in range(READS_MAX):
        records = await engine.streams.read("part-reader", 100, SOON_SECONDS)
        found += [record.key for record in records]
        if records:
            await engine.streams.settle("part-reader", records[-1].sequence)
        if sum(each.pk == WANTED for each in found) == 3:
            break
    assert [each.sk for each in found if each.pk == WANTED] == ["0", "1", "2"]
    if isinstance(engine, MemoryEngine | EmbeddedEngine):
        assert {each.pk for each in found} == {WANTED}
