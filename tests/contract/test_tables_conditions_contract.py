"""Conditions mean the same in every engine: on values of every type, on what is missing, inside maps."""

from __future__ import annotations

from typing import Any

import pytest
from tests.contract.rigs import Rig
from tests.contract.writing import key, put, read, write_one

from penstock_backbone.engines import Engine
from penstock_backbone.system import SystemIds
from penstock_backbone.vocabulary import (
    And,
    Condition,
    Delete,
    Equals,
    Exists,
    Greater,
    Key,
    Less,
    Missing,
    Or,
    Put,
    Refused,
    Update,
    Written,
)

pytestmark = pytest.mark.anyio

BIGGEST = 2**63 - 1

ITEM: dict[str, Any] = {
    "text": "b", "empty": "", "number": 5, "zero": 0, "negative": -5, "biggest": BIGGEST, "yes": True, "no": False,
    "nothing": None, "raw": b"\x01", "list": [1, "a"], "typed": [True, {"n": 1}],
    "map": {"in": {"deep": 1}, "text": "x"}, "emptymap": {}, "emptylist": [], "high": "\uffff",
}  # fmt: skip

TRUE: list[Condition] = [
    Equals("text", "b"), Equals("empty", ""), Equals("number", 5), Equals("zero", 0), Equals("negative", -5),
    Equals("biggest", BIGGEST), Equals("yes", True), Equals("no", False), Equals("nothing", None),
    Equals("raw", b"\x01"), Equals("list", [1, "a"]), Equals("map", {"text": "x", "in": {"deep": 1}}),
    Equals("emptymap", {}), Equals("emptylist", []), Equals("map/in/deep", 1), Equals("map/in", {"deep": 1}),
    Equals("typed", [True, {"n": 1}]), Equals("sk", "one"),
    Less("number", 6), Less("negative", 0), Less("number", BIGGEST), Less("text", "c"), Less("text", "ba"),
    Less("text", "ü"), Less("empty", "a"), Less("map/in/deep", 2), Less("map/text", "y"), Less("sk", "two"),
    Less("high", "\U00010000"),
    Greater("number", 4), Greater("negative", -6), Greater("biggest", BIGGEST - 1), Greater("text", "a"),
    Greater("text", "Z"), Greater("text", ""), Greater("map/in/deep", 0),
    Exists("pk"), Exists("sk"), Exists("text"), Exists("empty"), Exists("zero"), Exists("no"), Exists("nothing"),
    Exists("emptymap"), Exists("map/in"), Exists("map/in/deep"),
    Missing("gone"), Missing("map/gone"), Missing("gone/deeper"), Missing("text/deeper"), Missing("map/in/deep/er"),
    Missing("nothing/deeper"), Missing("list/0"), Missing("emptymap/x"),
    Equals("number", 5) & Equals("text", "b"), Equals("number", 5) | Equals("text", "x"),
    Equals("number", 6) | Equals("text", "b"), And((Equals("number", 5),)), Or((Equals("number", 5),)),
    (Equals("number", 6) & Equals("text", "b")) | Exists("map"),
    (Equals("number", 6) | Equals("text", "b")) & Missing("gone"),
    And((Exists("text"), Exists("number"), Or((Missing("text"), And((Exists("map"), Less("zero", 1))))))),
]  # fmt: skip

FALSE: list[Condition] = [
    Equals("text", "B"), Equals("text", ""), Equals("number", 6), Equals("yes", False), Equals("gone", 5),
    Equals("gone", None), Equals("gone/deeper", 1), Equals("nothing", ""), Equals("nothing", 0),
    Equals("nothing", False), Equals("zero", None), Equals("empty", None), Equals("number", "5"), Equals("text", 98),
    Equals("yes", 1), Equals("no", 0), Equals("zero", False), Equals("number", True), Equals("yes", "true"),
    Equals("raw", "\x01"), Equals("text", b"b"), Equals("list", ["a", 1]), Equals("list", [1]), Equals("list", "a"),
    Equals("emptymap", []), Equals("emptylist", {}), Equals("emptylist", None), Equals("map", {"text": "x"}),
    Equals("map/in/deep", 2), Equals("map/in/deep", "1"), Equals("text/deeper", "b"), Equals("sk", "two"),
    Equals("typed", [1, {"n": 1}]), Equals("typed", [True, {"n": True}]), Equals("map", {"in": {"deep": True}, "text": "x"}),
    Less("number", 5), Less("number", 4), Less("number", -BIGGEST), Less("text", "b"), Less("text", "a"),
    Less("text", "Z"), Less("gone", 5), Less("gone", "z"), Less("gone/deeper", 5), Less("number", "9"), Less("text", 99),
    Less("yes", 5), Less("no", 5), Less("nothing", 5), Less("nothing", "z"), Less("raw", "z"), Less("list", 9),
    Less("map", "z"),
    Greater("number", 5), Greater("number", 6), Greater("text", "b"), Greater("gone", 0), Greater("gone", ""),
    Greater("number", "1"), Greater("text", 1), Greater("yes", 0), Greater("nothing", 0), Greater("raw", ""),
    Greater("list", 0), Greater("map", ""), Greater("high", "\U00010000"),
    Exists("gone"), Exists("map/gone"), Exists("gone/deeper"), Exists("text/deeper"), Exists("list/0"),
    Missing("pk"), Missing("text"), Missing("nothing"), Missing("empty"), Missing("map/in"), Missing("no"),
    Equals("number", 5) & Equals("text", "x"), Equals("number", 6) & Equals("text", "b"),
    Equals("number", 6) | Equals("text", "x"), And((Missing("pk"),)), Or((Missing("pk"),)),
    (Equals("number", 6) | Equals("text", "b")) & Exists("gone"),
]  # fmt: skip

ON_NOTHING: list[tuple[Condition, bool]] = [
    (Missing("pk"), True), (Missing("text"), True), (Missing("map/in"), True), (Exists("pk"), False),
    (Equals("text", "b"), False), (Equals("nothing", None), False), (Less("number", 6), False),
    (Greater("number", 0), False), (Missing("pk") & Missing("text"), True), (Missing("pk") & Exists("text"), False),
    (Exists("pk") | Missing("pk"), True), (Equals("number", 5) | Less("number", 5), False),
]  # fmt: skip

NAMES_TO_ESCAPE = (
    "size", "a.b", "a[0]", "a b", "#x", ":y", "123", "a-b", "名前", "'", '"', "attribute_exists", "AND", "\\", "$", "é",
)  # fmt: skip
"""Each of them means something else in a DynamoDB expression, or nothing at all."""


def named(condition: object) -> str:
    return repr(condition).replace("-", "~")[:70]


@pytest.fixture(scope="session")
async def shared(rig: Rig) -> Key:
    """One item for all the conditions: an accepted write only moves its mark."""
    where = key(SystemIds().new("pk"))
    await put(rig.engine.tables, where, ITEM)
    return where


@pytest.mark.parametrize("condition", TRUE, ids=named)
async def test_a_true_condition_lets_the_write_through(engine: Engine, shared: Key, condition: Condition) -> None:
    outcome = await write_one(engine.tables, Update(shared, {"mark": repr(condition)}, when=condition, returning=True))
    assert outcome == Written({"pk": shared.pk, "sk": shared.sk, **ITEM, "mark": repr(condition)})


@pytest.mark.parametrize("condition", FALSE, ids=named)
async def test_a_false_condition_refuses_it_with_what_stands_there(
    engine: Engine, shared: Key, condition: Condition
) -> None:
    outcome = await write_one(engine.tables, Update(shared, {"mark": "wrong"}, when=condition))
    assert isinstance(outcome, Refused)
    assert outcome.item is not None
    outcome.item.pop("mark", None)
    assert outcome.item == {"pk": shared.pk, "sk": shared.sk, **ITEM}


@pytest.mark.parametrize(("condition", "expected"), ON_NOTHING, ids=named)
async def test_a_condition_on_nothing(engine: Engine, pk: str, condition: Condition, expected: bool) -> None:  # noqa: FBT001  # the row's second column
    outcome = await write_one(engine.tables, Put(key(pk), {"text": "new"}, when=condition))
    assert outcome == (Written() if expected else Refused(None))
    assert (await read(engine.tables, key(pk)) is not None) == expected


@pytest.mark.parametrize("condition", [Equals("number", 5), Missing("gone")], ids=named)
async def test_put_and_delete_obey_a_true_condition(engine: Engine, pk: str, condition: Condition) -> None:
    await put(engine.tables, key(pk), ITEM)
    assert await write_one(engine.tables, Put(key(pk), {"number": 5}, when=condition)) == Written()
    assert await read(engine.tables, key(pk)) == {"pk": pk, "sk": "one", "number": 5}
    assert await write_one(engine.tables, Delete(key(pk), when=condition)) == Written()
    assert await read(engine.tables, key(pk)) is None


@pytest.mark.parametrize("condition", [Equals("number", 6), Exists("gone")], ids=named)
async def test_put_and_delete_obey_a_false_condition(engine: Engine, pk: str, condition: Condition) -> None:
    before = await put(engine.tables, key(pk), ITEM)
    assert await write_one(engine.tables, Put(key(pk), {"number": 5}, when=condition)) == Refused(before)
    assert await write_one(engine.tables, Delete(key(pk), when=condition)) == Refused(before)
    assert await read(engine.tables, key(pk)) == before


@pytest.mark.parametrize("name", NAMES_TO_ESCAPE)
async def test_any_name_may_be_an_attribute(engine: Engine, pk: str, name: str) -> None:
    await put(engine.tables, key(pk), {name: 1, "map": {name: {"x": 1}}})
    update = Update(
        key(pk), {name: 2, f"map/{name}/x": 2}, when=Equals(name, 1) & Exists(f"map/{name}") & Less(f"map/{name}/x", 2)
    )
    assert await write_one(engine.tables, update) == Written()
    assert await read(engine.tables, key(pk)) == {"pk": pk, "sk": "one", name: 2, "map": {name: {"x": 2}}}
    removal = Update(key(pk), {}, remove=(name, f"map/{name}"), when=Equals(f"map/{name}/x", 2))
    assert await write_one(engine.tables, removal) == Written()
    assert await read(engine.tables, key(pk)) == {"pk": pk, "sk": "one", "map": {}}


async def test_a_long_condition_is_no_different_from_a_short_one(engine: Engine, pk: str) -> None:
    await put(engine.tables, key(pk), {f"a{number}": number for number in range(60)})
    whole = And(tuple(Equals(f"a{number}", number) for number in range(60)))
    assert await write_one(engine.tables, Update(key(pk), {"mark": 1}, when=whole)) == Written()
    some = Or(tuple(Equals(f"a{number}", -1) for number in range(60)))
    assert isinstance(await write_one(engine.tables, Update(key(pk), {"mark": 2}, when=some)), Refused)
