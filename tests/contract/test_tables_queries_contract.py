"""Queries: one partition in order, page by page, with cursors that cannot be mistaken for another query's."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.contract.contract_inventory import OTHERS, THINGS
from tests.contract.writing import key, put

from penstock_backbone.engines import Engine
from penstock_backbone.errors import BadCursor, Invalid
from penstock_backbone.ports import Tables
from penstock_backbone.vocabulary import (
    PAGE_BYTES_MAX,
    PAGE_ITEMS_MAX,
    Committed,
    Delete,
    Item,
    Put,
    Query,
    Update,
    Written,
)

pytestmark = pytest.mark.anyio

PAGES_MAX = 100


async def fill(tables: Tables, pk: str, items: dict[str, Item]) -> None:
    """By sort key, a hundred at a time."""
    writes = [Put(key(pk, sk), item) for sk, item in items.items()]
    batches = [writes[start : start + 100] for start in range(0, len(writes), 100)]
    for outcomes in await asyncio.gather(*(tables.write(batch) for batch in batches)):
        assert set(map(type, outcomes)) == {Written}


async def pages(tables: Tables, query: Query) -> list[list[Item]]:
    """Every page to the end; an endless query is an error."""
    found: list[list[Item]] = []
    for _ in range(PAGES_MAX):
        page = await tables.query(query)
        found.append(list(page.items))
        if page.cursor is None:
            return found
        query = msgspec.structs.replace(query, cursor=page.cursor)
    raise AssertionError(f"still not at the end after {PAGES_MAX} pages")


async def sort_keys(tables: Tables, query: Query) -> list[str]:
    return [item["sk"] for page in await pages(tables, query) for item in page]


# --- order and choice -------------------------------------------------------------------------


async def test_items_come_in_the_order_of_their_sort_keys(engine: Engine, pk: str) -> None:
    """By bytes of UTF-8, as DynamoDB sorts: capitals first, then letters, then other alphabets."""
    in_order = ["#1", "-", "0", "10", "9", "A", "Z", "a", "aa", "b", "z", "é", "中", "\uffff", "\U0001f600"]
    await fill(engine.tables, pk, {sk: {"n": n} for n, sk in enumerate(reversed(in_order))})
    await put(engine.tables, key(pk + "0", "a"), {})
    await put(engine.tables, key(pk, "a", OTHERS), {})
    assert await sort_keys(engine.tables, Query(THINGS, pk)) == in_order
    assert await sort_keys(engine.tables, Query(THINGS, pk, descending=True)) == in_order[::-1]


async def test_a_query_gives_whole_items(engine: Engine, pk: str) -> None:
    item = await put(engine.tables, key(pk), {"m": {"n": [1, True, None, b"x"]}})
    page = await engine.tables.query(Query(THINGS, pk))
    assert list(page.items) == [item]
    assert page.cursor is None


async def test_a_partition_with_nothing_in_it_is_an_empty_last_page(engine: Engine, pk: str) -> None:
    page = await engine.tables.query(Query(THINGS, pk))
    assert (list(page.items), page.cursor) == ([], None)


async def test_a_prefix_keeps_the_keys_that_begin_with_it(engine: Engine, pk: str) -> None:
    await fill(engine.tables, pk, {sk: {} for sk in ("a", "a#", "a#1", "a#2", "a$", "b", "a#\U0001f600", "#a", "a#é")})
    kept = ["a#", "a#1", "a#2", "a#é", "a#\U0001f600"]
    assert await sort_keys(engine.tables, Query(THINGS, pk, prefix="a#")) == kept
    assert await sort_keys(engine.tables, Query(THINGS, pk, prefix="a#", descending=True)) == kept[::-1]
    assert await sort_keys(engine.tables, Query(THINGS, pk, prefix="a#", limit=2)) == kept
    assert await sort_keys(engine.tables, Query(THINGS, pk, prefix="c")) == []


async def test_what_was_just_written_is_found_and_what_was_deleted_is_not(engine: Engine, pk: str) -> None:
    await fill(engine.tables, pk, {"a": {}, "b": {}})
    await engine.tables.write([Delete(key(pk, "a"))])
    await put(engine.tables, key(pk, "c"), {})
    assert await sort_keys(engine.tables, Query(THINGS, pk)) == ["b", "c"]


# --- pages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8])
async def test_pages_of_any_size_together_are_the_whole(
    engine: Engine,
    pk: str,
    limit: int,
    descending: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    in_order = list("abcdefg")
    await fill(engine.tables, pk, {sk: {} for sk in in_order})
    found = await pages(engine.tables, Query(THINGS, pk, limit=limit, descending=descending))
    assert [item["sk"] for page in found for item in page] == (in_order[::-1] if descending else in_order)
    assert max(map(len, found)) <= limit


async def test_the_last_page_knows_that_it_is_the_last(engine: Engine, pk: str) -> None:
    await fill(engine.tables, pk, {sk: {} for sk in "abcd"})
    assert [len(page) for page in await pages(engine.tables, Query(THINGS, pk, limit=2))] == [2, 2]


async def test_more_than_a_thousand_items_take_more_than_one_page(engine: Engine, pk: str) -> None:
    writes = [Put(key(pk, f"{n:04}"), {"n": n}) for n in range(PAGE_ITEMS_MAX + 5)]
    for start in range(0, len(writes), 100):
        assert await engine.tables.transact(writes[start : start + 100]) == Committed()
    found = await pages(engine.tables, Query(THINGS, pk, limit=PAGE_ITEMS_MAX))
    assert [len(page) for page in found] == [PAGE_ITEMS_MAX, 5]
    assert [item["n"] for page in found for item in page] == list(range(PAGE_ITEMS_MAX + 5))


@pytest.mark.parametrize("descending", [False, True])
async def test_more_than_a_megabyte_takes_more_than_one_page(
    engine: Engine,
    pk: str,
    descending: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    await fill(engine.tables, pk, {str(n): {"body": "x" * 300_000} for n in range(8)})
    found = await pages(engine.tables, Query(THINGS, pk, descending=descending))
    assert [item["sk"] for page in found for item in page] == sorted("01234567", reverse=descending)
    assert max(sum(len(item["body"]) for item in page) for page in found) <= PAGE_BYTES_MAX
    assert len(found) >= 3


@pytest.mark.parametrize("limit", [0, -1, PAGE_ITEMS_MAX + 1])
async def test_a_page_holds_at_least_one_item_and_at_most_a_thousand(engine: Engine, pk: str, limit: int) -> None:
    with pytest.raises(Invalid):
        await engine.tables.query(Query(THINGS, pk, limit=limit))


@pytest.mark.parametrize("query", [Query("nowhere", "a"), Query(THINGS, ""), Query(THINGS, "a", index="by_nothing")])
async def test_a_query_that_cannot_be_is_refused(engine: Engine, query: Query) -> None:
    with pytest.raises(Invalid):
        await engine.tables.query(query)


async def test_a_page_follows_the_place_of_the_last_and_not_its_item(engine: Engine, pk: str) -> None:
    """The item where the page ended has been deleted, and others have come before and after it."""
    await fill(engine.tables, pk, {sk: {} for sk in "bdfh"})
    first = await engine.tables.query(Query(THINGS, pk, limit=2))
    await engine.tables.write([Delete(key(pk, "d"))])
    await fill(engine.tables, pk, {sk: {} for sk in "aceg"})
    assert await sort_keys(engine.tables, Query(THINGS, pk, limit=2, cursor=first.cursor)) == list("efgh")


# --- cursors ----------------------------------------------------------------------------------


async def cursor_of(engine: Engine, query: Query) -> str:
    page = await engine.tables.query(query)
    assert page.cursor is not None
    return page.cursor


async def test_a_cursor_may_be_used_again_and_with_another_page_size(engine: Engine, pk: str) -> None:
    await fill(engine.tables, pk, {sk: {} for sk in "abcdef"})
    cursor = await cursor_of(engine, Query(THINGS, pk, limit=2))
    for limit in (1, 3, 100):
        assert await sort_keys(engine.tables, Query(THINGS, pk, limit=limit, cursor=cursor)) == list("cdef")


async def test_a_cursor_says_nothing_to_whoever_carries_it_and_fits_an_address(engine: Engine, pk: str) -> None:
    await fill(engine.tables, pk, {"secret-1": {}, "secret-2": {}})
    cursor = await cursor_of(engine, Query(THINGS, pk, limit=1))
    assert "secret" not in cursor
    assert cursor.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize(
    "changes",
    [{"pk": "pk_other"}, {"prefix": "a"}, {"descending": True}, {"table": OTHERS}, {"index": "by_owner"}],
    ids=lambda changes: next(iter(changes)),
)
async def test_another_querys_cursor_is_a_bad_cursor(engine: Engine, pk: str, changes: dict[str, Any]) -> None:
    query = Query(THINGS, pk, limit=1)
    await fill(engine.tables, pk, {sk: {"owner": pk, "made": sk} for sk in "abc"})
    cursor = await cursor_of(engine, query)
    other = msgspec.structs.replace(query, **{"cursor": cursor, **changes})
    with pytest.raises(BadCursor):
        await engine.tables.query(other)


async def test_a_damaged_cursor_is_a_bad_cursor(engine: Engine, pk: str) -> None:
    query = Query(THINGS, pk, limit=1)
    await fill(engine.tables, pk, {sk: {} for sk in "abc"})
    cursor = await cursor_of(engine, query)
    middle = len(cursor) // 2
    damaged = [
        "", "x", "!!!!", "é" * 8, "\ud800", "A" * 100_000, cursor[:-1], cursor[1:], cursor + "A", cursor.swapcase(),
        cursor[:middle] + ("A" if cursor[middle] != "A" else "B") + cursor[middle + 1 :], cursor[::-1], cursor * 2,
    ]  # fmt: skip
    for text in damaged:
        with pytest.raises(BadCursor):
            await engine.tables.query(msgspec.structs.replace(query, cursor=text))


# --- indexes ----------------------------------------------------------------------------------


def owned(owner: str, **changes: Any) -> Query:
    return Query(THINGS, owner, index="by_owner", **changes)


async def test_an_index_finds_items_of_many_partitions_in_its_own_order(engine: Engine, pk: str) -> None:
    for n, made in enumerate(["3", "1", "2"]):
        await put(engine.tables, key(f"{pk}-{n}", "s"), {"owner": pk, "made": made, "n": n})
    await put(engine.tables, key(pk, "s"), {"owner": pk + "x", "made": "0"})
    assert [item["n"] for [item] in await pages(engine.tables, owned(pk, limit=1))] == [1, 2, 0]
    [backwards] = await pages(engine.tables, owned(pk, descending=True))
    assert [item["n"] for item in backwards] == [0, 2, 1]
    assert backwards[0] == {"pk": f"{pk}-0", "sk": "s", "owner": pk, "made": "3", "n": 0}


async def test_an_item_without_both_attributes_is_not_in_the_index(engine: Engine, pk: str) -> None:
    await fill(engine.tables, pk, {"both": {"owner": pk, "made": "1"}, "owner": {"owner": pk}, "made": {"made": "1"}})
    assert await sort_keys(engine.tables, owned(pk)) == ["both"]


async def test_the_index_follows_every_change_of_the_item(engine: Engine, pk: str) -> None:
    await put(engine.tables, key(pk), {"owner": pk, "made": "1", "n": 1})
    await engine.tables.write([Update(key(pk), {"n": 2})])
    [[item]] = await pages(engine.tables, owned(pk))
    assert item["n"] == 2
    await engine.tables.write([Update(key(pk), {"owner": pk + "x"})])
    assert await sort_keys(engine.tables, owned(pk)) == []
    assert await sort_keys(engine.tables, owned(pk + "x")) == ["one"]
    await engine.tables.write([Update(key(pk), {}, remove=("made",))])
    assert await sort_keys(engine.tables, owned(pk + "x")) == []
    await engine.tables.write([Put(key(pk), {"owner": pk, "made": "2"})])
    assert await sort_keys(engine.tables, owned(pk)) == ["one"]
    await engine.tables.write([Delete(key(pk))])
    assert await sort_keys(engine.tables, owned(pk)) == []


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 3, 5])
async def test_items_with_equal_sort_values_are_all_found_once_over_pages(
    engine: Engine,
    pk: str,
    limit: int,
    descending: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    made = {"a": "1", "b": "2", "c": "2", "d": "2", "e": "2", "f": "3"}
    await fill(engine.tables, pk, {sk: {"owner": pk, "made": value} for sk, value in made.items()})
    await put(engine.tables, key(pk + "x", "g"), {"owner": pk, "made": "2"})
    found = [
        item for page in await pages(engine.tables, owned(pk, limit=limit, descending=descending)) for item in page
    ]
    assert sorted(item["sk"] for item in found) == list("abcdefg")
    assert [item["made"] for item in found] == sorted(["1", *"22222", "3"], reverse=descending)


async def test_a_prefix_on_an_index_is_of_its_second_attribute(engine: Engine, pk: str) -> None:
    await fill(engine.tables, pk, {sk: {"owner": pk, "made": f"2026-{sk}"} for sk in ("11-01", "11-24", "12-01")})
    assert await sort_keys(engine.tables, owned(pk, prefix="2026-11")) == ["11-01", "11-24"]
    assert await sort_keys(engine.tables, owned(pk, prefix="2026-11", limit=1, descending=True)) == ["11-24", "11-01"]


@pytest.mark.parametrize("value", [5, True, None, "", b"x", ["x"]], ids=repr)
@pytest.mark.parametrize("attribute", ["owner", "made"])
async def test_an_indexed_attribute_is_text_or_absent(engine: Engine, pk: str, attribute: str, value: Any) -> None:
    """DynamoDB refuses anything else, so every engine does."""
    item = {"owner": pk, "made": "1"} | {attribute: value}
    with pytest.raises(Invalid):
        await engine.tables.write([Put(key(pk), item)])
    await put(engine.tables, key(pk), {"owner": pk, "made": "1"})
    with pytest.raises(Invalid):
        await engine.tables.write([Update(key(pk), {attribute: value})])
