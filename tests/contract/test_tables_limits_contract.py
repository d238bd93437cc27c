"""Items at the size limit: the last byte fits, one more is refused, and then nothing has been written."""

from __future__ import annotations

import pytest
from tests.contract.writing import key, put, read, read_there, write_one

from penstock_backbone.engines import Engine
from penstock_backbone.errors import TooLarge
from penstock_backbone.vocabulary import BATCH_ITEMS_MAX, ITEM_BYTES_MAX, Key, Put, Update, Written

pytestmark = pytest.mark.anyio


def room(where: Key, *names: str) -> int:
    """Bytes left for values beside the key and the names of the attributes, as DynamoDB counts."""
    return ITEM_BYTES_MAX - sum(len(text.encode()) for text in ("pk", where.pk, "sk", where.sk, *names))


async def test_an_item_may_fill_the_limit_to_the_last_byte(engine: Engine, pk: str) -> None:
    size = room(key(pk), "body")
    assert await write_one(engine.tables, Put(key(pk), {"body": "x" * size})) == Written()
    assert len((await read_there(engine.tables, key(pk)))["body"]) == size


async def test_one_byte_over_the_limit_is_refused(engine: Engine, pk: str) -> None:
    size = room(key(pk), "body") + 1
    with pytest.raises(TooLarge):
        await engine.tables.write([Put(key(pk), {"body": "x" * size})])
    assert await read(engine.tables, key(pk)) is None


@pytest.mark.parametrize(
    ("value", "bytes_each"),
    [("好" * 100_000, 300_000), (b"\x00" * 300_000, 300_000), ("\U0001f600" * 75_000, 300_000)],
    ids=["three-byte", "binary", "four-byte"],
)
async def test_bytes_are_counted_and_not_characters(
    engine: Engine, pk: str, value: str | bytes, bytes_each: int
) -> None:
    left = room(key(pk), "value", "rest") - bytes_each
    assert await write_one(engine.tables, Put(key(pk), {"value": value, "rest": "x" * left})) == Written()
    with pytest.raises(TooLarge):
        await engine.tables.write([Put(key(pk, "two"), {"value": value, "rest": "x" * (left + 1)})])
    assert await read(engine.tables, key(pk, "two")) is None


async def test_maps_lists_and_numbers_count_for_something(engine: Engine, pk: str) -> None:
    """Five thousand lists of one digit each are over the limit, though their digits alone would not be."""
    body = "x" * (room(key(pk), "body", "list") - 10_000)
    with pytest.raises(TooLarge):
        await engine.tables.write([Put(key(pk), {"body": body, "list": [[1] for _ in range(5_000)]})])
    assert await read(engine.tables, key(pk)) is None


async def test_an_update_may_grow_an_item_up_to_the_limit_and_not_beyond(engine: Engine, pk: str) -> None:
    half = "x" * (room(key(pk), "a", "b") // 2)
    before = await put(engine.tables, key(pk), {"a": half})
    rest = room(key(pk), "a", "b") - len(half)
    with pytest.raises(TooLarge):
        await engine.tables.write([Update(key(pk), {"b": "x" * (rest + 1)})])
    assert await read(engine.tables, key(pk)) == before
    assert await write_one(engine.tables, Update(key(pk), {"b": "x" * rest})) == Written()


async def test_an_item_may_grow_by_many_small_updates_and_stops_at_the_limit(engine: Engine, pk: str) -> None:
    await put(engine.tables, key(pk), {"parts": {}})
    part = "x" * 50_000
    for number in range(8):
        assert await write_one(engine.tables, Update(key(pk), {f"parts/{number}": part})) == Written()
    with pytest.raises(TooLarge):
        await engine.tables.write([Update(key(pk), {"parts/8": part})])
    assert sorted((await read_there(engine.tables, key(pk)))["parts"]) == list("01234567")


async def test_a_full_batch_of_large_items_is_read_in_one_call(engine: Engine, pk: str) -> None:
    """17 MB, where DynamoDB answers with 16 MB at most and leaves the rest for another request."""
    keys = [key(pk, f"{n:03}") for n in range(BATCH_ITEMS_MAX)]
    body = "x" * 170_000
    for start in range(0, BATCH_ITEMS_MAX, 20):
        part = keys[start : start + 20]
        assert await engine.tables.write([Put(where, {"body": body}) for where in part]) == [Written()] * 20
    items = await engine.tables.get(keys)
    assert [item and (item["sk"], len(item["body"])) for item in items] == [(where.sk, 170_000) for where in keys]
