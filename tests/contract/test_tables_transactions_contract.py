"""Transactions: all parts or none, and for each part the reason why not."""

from __future__ import annotations

from typing import Any

import pytest
from tests.contract.contract_inventory import OTHERS
from tests.contract.writing import key, put, read

from penstock_backbone.engines import Engine
from penstock_backbone.errors import Invalid, TooLarge
from penstock_backbone.vocabulary import (
    BATCH_ITEMS_MAX,
    Cancelled,
    Check,
    Committed,
    Delete,
    Equals,
    Exists,
    Missing,
    Put,
    Refused,
    TransactionPart,
    Update,
)

pytestmark = pytest.mark.anyio


async def test_every_part_of_a_transaction_is_applied(engine: Engine, pk: str) -> None:
    await put(engine.tables, key(pk, "changed"), {"m": {"n": 1}, "gone": 1})
    await put(engine.tables, key(pk, "deleted"), {})
    checked = await put(engine.tables, key(pk, "checked"), {"n": 1})
    outcome = await engine.tables.transact(
        [
            Put(key(pk, "new"), {"n": 1}, when=Missing("pk")),
            Update(key(pk, "changed"), {"m/n": 2}, when=Equals("m/n", 1), remove=("gone",)),
            Delete(key(pk, "deleted"), when=Exists("pk")),
            Check(key(pk, "checked"), Equals("n", 1)),
            Put(key(pk, "new", OTHERS), {"n": 2}),
        ]
    )
    assert outcome == Committed()
    items = await engine.tables.get([key(pk, sk) for sk in ("new", "changed", "deleted", "checked")])
    assert items == [
        {"pk": pk, "sk": "new", "n": 1},
        {"pk": pk, "sk": "changed", "m": {"n": 2}},
        None,
        checked,
    ]
    assert await read(engine.tables, key(pk, "new", OTHERS)) == {"pk": pk, "sk": "new", "n": 2}


async def test_one_false_condition_cancels_them_all_and_each_part_has_its_reason(engine: Engine, pk: str) -> None:
    there = await put(engine.tables, key(pk, "there"), {"n": 1})
    outcome = await engine.tables.transact(
        [
            Put(key(pk, "new"), {}),
            Put(key(pk, "there"), {"n": 2}, when=Missing("pk")),
            Update(key(pk, "gone"), {"n": 2}),
            Delete(key(pk, "never")),
            Check(key(pk, "absent"), Exists("pk")),
            Put(key(pk, "new", OTHERS), {}),
        ]
    )
    assert outcome == Cancelled((None, Refused(there), Refused(None), None, Refused(None), None))
    keys = [key(pk, "new"), key(pk, "there"), key(pk, "gone"), key(pk, "new", OTHERS)]
    assert await engine.tables.get(keys) == [None, there, None, None]


async def test_an_update_through_what_is_no_map_stops_its_transaction(engine: Engine, pk: str) -> None:
    text = await put(engine.tables, key(pk, "text"), {"m": "text"})
    other = await put(engine.tables, key(pk, "other"), {})
    with pytest.raises(Invalid):
        await engine.tables.transact([Update(key(pk, "text"), {"m/x": 1}), Delete(key(pk, "other"))])
    assert await engine.tables.get([key(pk, "text"), key(pk, "other")]) == [text, other]


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_the_reason_stands_at_the_place_of_its_part(engine: Engine, pk: str, place: int) -> None:
    parts: list[TransactionPart] = [Put(key(pk, str(n)), {}) for n in range(3)]
    parts[place] = Check(key(pk, str(place)), Exists("pk"))
    outcome = await engine.tables.transact(parts)
    assert outcome == Cancelled(tuple(Refused(None) if n == place else None for n in range(3)))


async def test_a_failed_check_alone_stops_everything_and_shows_what_it_saw(engine: Engine, pk: str) -> None:
    seen = await put(engine.tables, key(pk, "flag"), {"open": False, "why": {"by": "me"}})
    outcome = await engine.tables.transact([Put(key(pk), {}), Check(key(pk, "flag"), Equals("open", True))])
    assert outcome == Cancelled((None, Refused(seen)))
    assert await read(engine.tables, key(pk)) is None


async def test_an_update_in_a_transaction_never_creates_an_item(engine: Engine, pk: str) -> None:
    outcome = await engine.tables.transact([Update(key(pk), {"n": 1}, when=Missing("n"))])
    assert outcome == Cancelled((Refused(None),))
    assert await read(engine.tables, key(pk)) is None


async def test_conditions_see_what_stood_before_the_transaction(engine: Engine, pk: str) -> None:
    """Its own parts do not see each other: they have different keys, and happen at one moment."""
    await put(engine.tables, key(pk, "a"), {"n": 1})
    await put(engine.tables, key(pk, "b"), {"n": 2})
    swap = [
        Update(key(pk, "a"), {"n": 2}, when=Equals("n", 1)),
        Update(key(pk, "b"), {"n": 1}, when=Equals("n", 2)),
    ]
    assert await engine.tables.transact(swap) == Committed()
    assert isinstance(await engine.tables.transact(swap), Cancelled)


async def test_no_key_twice_not_even_to_check_it(engine: Engine, pk: str) -> None:
    attempts: list[list[TransactionPart]] = [
        [Put(key(pk), {}), Put(key(pk), {})],
        [Put(key(pk), {}), Check(key(pk), Missing("pk"))],
        [Put(key(pk, "other"), {}), Update(key(pk), {"n": 1}), Delete(key(pk))],
    ]
    for parts in attempts:
        with pytest.raises(Invalid):
            await engine.tables.transact(parts)
    assert await engine.tables.get([key(pk), key(pk, "other")]) == [None, None]


async def test_a_hundred_parts_are_one_transaction(engine: Engine, pk: str) -> None:
    keys = [key(pk, f"{n:03}") for n in range(BATCH_ITEMS_MAX)]
    assert await engine.tables.transact([Put(where, {"n": 1}) for where in keys]) == Committed()
    before = await engine.tables.get(keys)
    assert None not in before
    parts: list[TransactionPart] = [Update(where, {"n": 2}) for where in keys]
    parts[57] = Update(keys[57], {"n": 2}, when=Equals("n", 7))
    outcome = await engine.tables.transact(parts)
    assert outcome == Cancelled(tuple(Refused(before[57]) if n == 57 else None for n in range(100)))
    assert await engine.tables.get(keys) == before


async def test_a_hundred_and_one_parts_are_refused(engine: Engine, pk: str) -> None:
    keys = [key(pk, f"{n:03}") for n in range(BATCH_ITEMS_MAX + 1)]
    with pytest.raises(Invalid):
        await engine.tables.transact([Put(where, {}) for where in keys])
    assert await engine.tables.get(keys[:100]) == [None] * 100


@pytest.mark.parametrize("changes", [{"gone/x": 1}, {"half": 0.5}, {"pk": "x"}], ids=["path", "float", "key"])
async def test_a_part_that_cannot_be_done_stops_them_all(engine: Engine, pk: str, changes: dict[str, Any]) -> None:
    before = await put(engine.tables, key(pk, "wrong"), {"n": 0})
    with pytest.raises(Invalid):
        await engine.tables.transact([Put(key(pk), {}), Update(key(pk, "wrong"), changes)])
    assert await engine.tables.get([key(pk), key(pk, "wrong")]) == [None, before]


async def test_an_item_that_is_too_large_stops_them_all(engine: Engine, pk: str) -> None:
    with pytest.raises(TooLarge):
        await engine.tables.transact([Put(key(pk), {}), Put(key(pk, "big"), {"body": "x" * 410_000})])
    assert await engine.tables.get([key(pk), key(pk, "big")]) == [None, None]


async def test_a_transaction_may_be_nearly_four_megabytes(engine: Engine, pk: str) -> None:
    keys = [key(pk, f"{n:03}") for n in range(10)]
    assert await engine.tables.transact([Put(where, {"body": "x" * 400_000}) for where in keys]) == Committed()
    assert [item and len(item["body"]) for item in await engine.tables.get(keys)] == [400_000] * 10


async def test_a_transaction_over_four_megabytes_is_refused_and_nothing_is_written(engine: Engine, pk: str) -> None:
    keys = [key(pk, f"{n:03}") for n in range(11)]
    with pytest.raises(TooLarge):
        await engine.tables.transact([Put(where, {"body": "x" * 400_000}) for where in keys])
    assert await engine.tables.get(keys) == [None] * 11
