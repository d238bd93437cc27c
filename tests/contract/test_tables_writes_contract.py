"""Put, Update and Delete one at a time: what they change, what they leave alone, what they answer."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from tests.contract.contract_inventory import THINGS
from tests.contract.writing import key, put, read, read_there, write_one

from penstock_backbone.engines import Engine
from penstock_backbone.errors import Invalid
from penstock_backbone.vocabulary import (
    KEY_BYTES_MAX,
    Delete,
    Equals,
    Exists,
    Item,
    Key,
    Missing,
    Put,
    Query,
    Refused,
    Update,
    Write,
    Written,
)

pytestmark = pytest.mark.anyio


# --- put --------------------------------------------------------------------------------------


async def test_a_put_is_read_back_with_its_key(engine: Engine, pk: str) -> None:
    assert await write_one(engine.tables, Put(key(pk), {"name": "x"})) == Written()
    assert await read(engine.tables, key(pk)) == {"pk": pk, "sk": "one", "name": "x"}


async def test_an_item_may_have_no_attributes_but_its_key(engine: Engine, pk: str) -> None:
    assert await write_one(engine.tables, Put(key(pk), {})) == Written()
    assert await read(engine.tables, key(pk)) == {"pk": pk, "sk": "one"}


async def test_a_put_replaces_the_whole_item(engine: Engine, pk: str) -> None:
    await put(engine.tables, key(pk), {"old": 1, "kept": 1})
    await put(engine.tables, key(pk), {"kept": 2})
    assert await read(engine.tables, key(pk)) == {"pk": pk, "sk": "one", "kept": 2}


async def test_a_refused_put_answers_with_what_stands_there(engine: Engine, pk: str) -> None:
    first = await put(engine.tables, key(pk), {"n": 1})
    assert await write_one(engine.tables, Put(key(pk), {"n": 2}, when=Missing("pk"))) == Refused(first)
    assert await read(engine.tables, key(pk)) == first


async def test_a_put_on_the_condition_that_something_is_there_is_refused_where_nothing_is(
    engine: Engine, pk: str
) -> None:
    assert await write_one(engine.tables, Put(key(pk), {"n": 2}, when=Exists("pk"))) == Refused(None)
    assert await read(engine.tables, key(pk)) is None


async def test_keys_differ_in_each_of_their_parts(engine: Engine, pk: str) -> None:
    keys = [key(pk, "a"), key(pk, "b"), key(pk + "a", "a"), Key("others", pk, "a")]
    assert await engine.tables.write([Put(where, {"n": n}) for n, where in enumerate(keys)]) == [Written()] * 4
    assert [item and item["n"] for item in await engine.tables.get(keys)] == [0, 1, 2, 3]


# --- update -----------------------------------------------------------------------------------


async def test_an_update_changes_only_what_it_names(engine: Engine, pk: str) -> None:
    await put(engine.tables, key(pk), {"a": 1, "b": {"c": 1, "d": {"e": 1}}, "f": 1, "g": [1]})
    update = Update(key(pk), {"a": 2, "b/d/e": 2, "b/new": 2, "h": {"i": 2}}, remove=("f", "b/c"))
    assert await write_one(engine.tables, update) == Written()
    expected = {"a": 2, "b": {"d": {"e": 2}, "new": 2}, "g": [1], "h": {"i": 2}}
    assert await read(engine.tables, key(pk)) == {"pk": pk, "sk": "one", **expected}


async def test_an_update_answers_with_the_new_item_when_asked(engine: Engine, pk: str) -> None:
    await put(engine.tables, key(pk), {"a": 1, "b": {"c": 1}})
    outcome = await write_one(engine.tables, Update(key(pk), {"b/c": 2}, remove=("a",), returning=True))
    assert outcome == Written({"pk": pk, "sk": "one", "b": {"c": 2}})


async def test_an_update_that_changes_nothing_answers_with_the_item_as_well(engine: Engine, pk: str) -> None:
    before = await put(engine.tables, key(pk), {"a": 1})
    assert await write_one(engine.tables, Update(key(pk), {"a": 1}, returning=True)) == Written(before)


async def test_a_refused_update_answers_with_what_stands_there_whether_or_not_it_returns(
    engine: Engine, pk: str
) -> None:
    before = await put(engine.tables, key(pk), {"a": 1})
    for returning in (True, False):
        update = Update(key(pk), {"a": 2}, when=Equals("a", 3), returning=returning)
        assert await write_one(engine.tables, update) == Refused(before)
    assert await read(engine.tables, key(pk)) == before


@pytest.mark.parametrize("condition", [None, Missing("a"), Missing("pk"), Missing("pk") | Exists("a")], ids=repr)
async def test_an_update_never_creates_an_item(engine: Engine, pk: str, condition: Any) -> None:
    assert await write_one(engine.tables, Update(key(pk), {"a": 1}, when=condition)) == Refused(None)
    assert await read(engine.tables, key(pk)) is None


async def test_removing_what_is_not_there_changes_nothing(engine: Engine, pk: str) -> None:
    before = await put(engine.tables, key(pk), {"a": 1, "m": {}})
    assert await write_one(engine.tables, Update(key(pk), {}, remove=("gone", "m/gone"))) == Written()
    assert await read(engine.tables, key(pk)) == before


@pytest.mark.parametrize("path", ["gone/x", "text/x", "map/gone/x", "nothing/x", "list/0"])
async def test_a_path_through_what_is_no_map_is_refused_and_changes_nothing(engine: Engine, pk: str, path: str) -> None:
    before = await put(engine.tables, key(pk), {"text": "t", "map": {}, "nothing": None, "list": [1]})
    with pytest.raises(Invalid):
        await engine.tables.write([Update(key(pk), {"other": 1, path: 2})])
    assert await read(engine.tables, key(pk)) == before


@pytest.mark.parametrize("path", ["text/x", "nothing/x", "list/0", "gone/x"])
async def test_removing_through_what_is_no_map_is_refused(engine: Engine, pk: str, path: str) -> None:
    before = await put(engine.tables, key(pk), {"text": "t", "nothing": None, "list": [1]})
    with pytest.raises(Invalid):
        await engine.tables.write([Update(key(pk), {"other": 1}, remove=(path,))])
    assert await read(engine.tables, key(pk)) == before


@pytest.mark.parametrize(
    ("changes", "remove"),
    [
        ({}, ()), ({"pk": "x"}, ()), ({"sk": "x"}, ()), ({}, ("pk",)), ({"a": 1}, ("a",)), ({"m": {}, "m/x": 1}, ()),
        ({"m/x": 1}, ("m",)), ({"m/x/y": 1, "m/x": {}}, ()), ({"": 1}, ()), ({"/a": 1}, ()), ({"a/": 1}, ()),
        ({"a//b": 1}, ()), ({}, ("a", "a")),
    ],
)  # fmt: skip
async def test_an_update_that_makes_no_sense_is_refused(
    engine: Engine, pk: str, changes: dict[str, Any], remove: tuple[str, ...]
) -> None:
    before = await put(engine.tables, key(pk), {"a": 1, "m": {"x": {"y": 0}}})
    with pytest.raises(Invalid):
        await engine.tables.write([Update(key(pk), changes, remove=remove)])
    assert await read(engine.tables, key(pk)) == before


async def test_paths_that_only_begin_alike_do_not_overlap(engine: Engine, pk: str) -> None:
    await put(engine.tables, key(pk), {"m": {"x": 0, "x!": 0}, "m!": 0})
    assert await write_one(engine.tables, Update(key(pk), {"m/x": 1, "m/x!": 1, "m!": 1})) == Written()
    assert await read(engine.tables, key(pk)) == {"pk": pk, "sk": "one", "m": {"x": 1, "x!": 1}, "m!": 1}


# --- delete -----------------------------------------------------------------------------------


async def test_a_delete_removes_the_item_and_succeeds_again(engine: Engine, pk: str) -> None:
    await put(engine.tables, key(pk), {"a": 1})
    assert await write_one(engine.tables, Delete(key(pk))) == Written()
    assert await read(engine.tables, key(pk)) is None
    assert await write_one(engine.tables, Delete(key(pk))) == Written()


async def test_a_delete_on_a_condition_is_refused_with_what_stands_there(engine: Engine, pk: str) -> None:
    before = await put(engine.tables, key(pk), {"a": 1})
    assert await write_one(engine.tables, Delete(key(pk), when=Equals("a", 2))) == Refused(before)
    assert await write_one(engine.tables, Delete(key(pk, "other"), when=Exists("pk"))) == Refused(None)
    assert await write_one(engine.tables, Delete(key(pk), when=Equals("a", 1))) == Written()


# --- values -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "", "text", "多语言 ✓ \U0001f600", "\x00\x01\x7f", 0, -1, 2**63 - 1, -(2**63) + 1, 10**17, True, False, None,
        b"", b"\x00\xff", [], {}, [[], {}, None, b"x"], {"a": {"b": [{"c": True}, 1, "1", b"1", None]}}, [1, True, "1"],
    ],
    ids=repr,
)  # fmt: skip
async def test_a_value_comes_back_as_what_it_was(engine: Engine, pk: str, value: Any) -> None:
    """Compared as text, because Python takes True for 1."""
    await put(engine.tables, key(pk), {"value": value, "in": {"side": [value]}})
    item = await read_there(engine.tables, key(pk))
    assert repr(item["value"]) == repr(value)
    assert repr(item["in"]) == repr({"side": [value]})


@pytest.mark.parametrize(
    ("before", "after"), [(1, True), (True, 1), (0, False), ([1], [True]), ({"a": 0}, {"a": False})], ids=repr
)
async def test_a_change_of_type_is_a_change(engine: Engine, pk: str, before: Any, after: Any) -> None:
    await put(engine.tables, key(pk), {"value": before})
    outcome = await write_one(engine.tables, Update(key(pk), {"value": after}, returning=True))
    assert isinstance(outcome, Written)
    assert repr(outcome.item) == repr({"pk": pk, "sk": "one", "value": after})
    assert repr((await read_there(engine.tables, key(pk)))["value"]) == repr(after)


async def test_a_tuple_is_a_list(engine: Engine, pk: str) -> None:
    await put(engine.tables, key(pk), {"value": (1, ("a",))})
    assert (await read_there(engine.tables, key(pk)))["value"] == [1, ["a"]]
    assert await write_one(engine.tables, Update(key(pk), {"n": 1}, when=Equals("value", (1, ("a",))))) == Written()


UNSTORABLE: list[Any] = [
    1.0, 0.5, float("nan"), Decimal(1), datetime(2026, 11, 24, tzinfo=UTC), {1, 2}, frozenset(), object(), 1j,
    2**63, -(2**63) - 1, 10**40, {1: "x"}, {None: "x"}, "\ud800", {"\udfff": 1}, bytearray(b"x"),
]  # fmt: skip


@pytest.mark.parametrize("value", UNSTORABLE, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(
    "wrapped", [lambda v: v, lambda v: [v], lambda v: {"deep": [{"er": v}]}], ids=["", "in", "deep"]
)
async def test_what_cannot_be_stored_exactly_is_refused(engine: Engine, pk: str, value: Any, wrapped: Any) -> None:
    for write in (Put(key(pk), {"value": wrapped(value)}), Update(key(pk), {"value": wrapped(value)})):
        with pytest.raises(Invalid):
            await engine.tables.write([write])
        with pytest.raises(Invalid):
            await engine.tables.transact([write])
    assert await read(engine.tables, key(pk)) is None


async def test_nesting_has_a_limit(engine: Engine, pk: str) -> None:
    def nested(levels: int) -> Any:
        return 1 if levels == 0 else {"a": nested(levels - 1)}

    await put(engine.tables, key(pk), {"value": nested(30)})
    with pytest.raises(Invalid):
        await engine.tables.write([Put(key(pk, "deep"), {"value": nested(40)})])
    assert await read(engine.tables, key(pk, "deep")) is None


@pytest.mark.parametrize("item", [{"pk": "x"}, {"sk": "one"}, {"pk": "x", "sk": "y", "a": 1}], ids=repr)
async def test_an_item_to_put_does_not_name_its_key_again(engine: Engine, pk: str, item: Item) -> None:
    with pytest.raises(Invalid):
        await engine.tables.write([Put(key(pk), item)])


# --- keys -------------------------------------------------------------------------------------


def everywhere(where: Key) -> list[Write]:
    return [Put(where, {"a": 1}), Update(where, {"a": 1}), Delete(where)]


@pytest.mark.parametrize(
    "where",
    [
        Key("nowhere", "a", "b"), Key("", "a", "b"), Key(THINGS, "", "b"), Key(THINGS, "a", ""),
        Key(THINGS, "a" * (KEY_BYTES_MAX + 1), "b"), Key(THINGS, "a", "b" * (KEY_BYTES_MAX + 1)),
        Key(THINGS, "a", "好" * (KEY_BYTES_MAX // 3 + 1)), Key(THINGS, "\ud800", "b"), Key(THINGS, "a", "\ud800"),
    ],
    ids=lambda where: ascii(where)[:40],
)  # fmt: skip
async def test_a_key_that_cannot_be_is_refused(engine: Engine, where: Key) -> None:
    for write in everywhere(where):
        with pytest.raises(Invalid):
            await engine.tables.write([write])
        with pytest.raises(Invalid):
            await engine.tables.transact([write])
    with pytest.raises(Invalid):
        await engine.tables.get([where])


@pytest.mark.parametrize("sk", ["s" * KEY_BYTES_MAX, "好" * (KEY_BYTES_MAX // 3), "a\x00b", "#/ %\n", "\U0001f600"])
async def test_any_text_up_to_the_limit_is_a_key(engine: Engine, pk: str, sk: str) -> None:
    where = Key(THINGS, pk, sk)
    assert await write_one(engine.tables, Put(where, {"a": 1}, when=Missing("pk"))) == Written()
    assert await write_one(engine.tables, Update(where, {"a": 2}, when=Equals("a", 1))) == Written()
    assert await read(engine.tables, where) == {"pk": pk, "sk": sk, "a": 2}
    page = await engine.tables.query(Query(THINGS, pk))
    assert [item["sk"] for item in page.items] == [sk]


# --- copies -----------------------------------------------------------------------------------


async def test_nobody_outside_holds_what_is_stored(engine: Engine, pk: str) -> None:
    """Changing what was given or what was got changes nothing behind the port."""
    given: Item = {"list": [1], "map": {"a": [1]}}
    await engine.tables.write([Put(key(pk), given)])
    given["list"].append(2)
    given["map"]["a"].append(2)
    got = await read_there(engine.tables, key(pk))
    got["list"].append(3)
    changes: dict[str, Any] = {"other": {"b": [1]}}
    outcome = await write_one(engine.tables, Update(key(pk), changes, returning=True))
    changes["other"]["b"].append(2)
    assert isinstance(outcome, Written)
    assert outcome.item is not None
    outcome.item["map"]["a"].append(4)
    refused = await write_one(engine.tables, Put(key(pk), {}, when=Missing("pk")))
    assert isinstance(refused, Refused)
    assert refused.item is not None
    refused.item["map"].clear()
    [queried] = (await engine.tables.query(Query(THINGS, pk))).items
    queried["list"].clear()
    expected = {"pk": pk, "sk": "one", "list": [1], "map": {"a": [1]}, "other": {"b": [1]}}
    assert await read(engine.tables, key(pk)) == expected
