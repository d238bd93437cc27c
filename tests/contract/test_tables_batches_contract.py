"""Many keys in one call: answers in order, each write for itself, and the guard before its followers."""

from __future__ import annotations

import pytest
from tests.contract.contract_inventory import OTHERS
from tests.contract.writing import key, put, read

from penstock_backbone.engines import Engine
from penstock_backbone.errors import Invalid, TooLarge
from penstock_backbone.vocabulary import (
    BATCH_ITEMS_MAX,
    ITEM_BYTES_MAX,
    Delete,
    Equals,
    Exists,
    Missing,
    Put,
    Refused,
    Unsettled,
    Update,
    Write,
    Written,
)

pytestmark = pytest.mark.anyio


async def test_get_answers_in_the_order_of_its_keys(engine: Engine, pk: str) -> None:
    for sk in "abc":
        await put(engine.tables, key(pk, sk), {"n": sk})
    await put(engine.tables, key(pk, "a", OTHERS), {"n": "other"})
    keys = [key(pk, "c"), key(pk, "gone"), key(pk, "a", OTHERS), key(pk, "a"), key(pk, "gone", OTHERS), key(pk, "b")]
    assert [item and item["n"] for item in await engine.tables.get(keys)] == ["c", None, "other", "a", None, "b"]


async def test_a_full_batch_is_written_and_read(engine: Engine, pk: str) -> None:
    keys = [key(pk, f"{n:03}") for n in range(BATCH_ITEMS_MAX)]
    assert await engine.tables.write([Put(where, {"n": n}) for n, where in enumerate(keys)]) == [Written()] * 100
    backwards = keys[::-1]
    assert [item and item["n"] for item in await engine.tables.get(backwards)] == list(range(100))[::-1]


async def test_one_more_than_a_full_batch_is_refused_and_nothing_is_written(engine: Engine, pk: str) -> None:
    keys = [key(pk, f"{n:03}") for n in range(BATCH_ITEMS_MAX + 1)]
    writes: list[Write] = [Put(where, {}) for where in keys]
    with pytest.raises(Invalid):
        await engine.tables.write(writes)
    with pytest.raises(Invalid):
        await engine.tables.write_after(writes[0], writes[1:])
    with pytest.raises(Invalid):
        await engine.tables.get(keys)
    assert await engine.tables.get(keys[1:]) == [None] * 100


async def test_the_same_key_twice_is_refused_and_nothing_is_written(engine: Engine, pk: str) -> None:
    with pytest.raises(Invalid):
        await engine.tables.write([Put(key(pk, "other"), {}), Put(key(pk), {}), Delete(key(pk))])
    with pytest.raises(Invalid):
        await engine.tables.write_after(Put(key(pk), {}), [Put(key(pk, "other"), {}), Update(key(pk), {"a": 1})])
    with pytest.raises(Invalid):
        await engine.tables.get([key(pk), key(pk)])
    assert await engine.tables.get([key(pk), key(pk, "other")]) == [None, None]


async def test_nothing_to_do_is_done(engine: Engine) -> None:
    assert await engine.tables.get([]) == []
    assert await engine.tables.write([]) == []


async def test_each_write_of_a_batch_stands_alone(engine: Engine, pk: str) -> None:
    before = await put(engine.tables, key(pk, "there"), {"n": 1})
    outcomes = await engine.tables.write(
        [
            Put(key(pk, "new"), {"n": 1}, when=Missing("pk")),
            Put(key(pk, "there"), {"n": 2}, when=Missing("pk")),
            Update(key(pk, "gone"), {"n": 2}),
            Delete(key(pk, "never")),
            Delete(key(pk, "nobody"), when=Exists("pk")),
            Put(key(pk, "last", OTHERS), {"n": 3}),
        ]
    )
    assert outcomes == [Written(), Refused(before), Refused(None), Written(), Refused(None), Written()]
    assert await read(engine.tables, key(pk, "there")) == before
    assert await read(engine.tables, key(pk, "gone")) is None
    assert await read(engine.tables, key(pk, "last", OTHERS)) == {"pk": pk, "sk": "last", "n": 3}


async def test_the_order_of_outcomes_is_that_of_the_writes_however_many_they_are(engine: Engine, pk: str) -> None:
    taken = [key(pk, f"{n:03}") for n in range(0, 100, 3)]
    await engine.tables.write([Put(where, {}) for where in taken])
    outcomes = await engine.tables.write(
        [Put(key(pk, f"{n:03}"), {"mine": True}, when=Missing("pk")) for n in range(100)]
    )
    assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, Refused)] == list(range(0, 100, 3))


@pytest.mark.parametrize("changes", [{"gone/x": 1}, {"big": "x" * ITEM_BYTES_MAX}], ids=["path", "size"])
async def test_a_write_that_cannot_be_done_does_not_take_the_others_with_it(
    engine: Engine, pk: str, changes: dict[str, object]
) -> None:
    """Found only when the item is seen: among others it is Unsettled; alone it is an error."""
    await put(engine.tables, key(pk, "wrong"), {"n": 0})
    first, wrong, last = await engine.tables.write(
        [Put(key(pk, "first"), {}), Update(key(pk, "wrong"), changes), Put(key(pk, "last"), {})]
    )
    assert (first, last) == (Written(), Written())
    assert isinstance(wrong, Unsettled)
    assert wrong.reason
    assert await read(engine.tables, key(pk, "wrong")) == {"pk": pk, "sk": "wrong", "n": 0}
    assert await read(engine.tables, key(pk, "last")) == {"pk": pk, "sk": "last"}


async def test_what_is_wrong_in_itself_is_found_before_anything_is_written(engine: Engine, pk: str) -> None:
    with pytest.raises(Invalid):
        await engine.tables.write([Put(key(pk), {}), Put(key(pk, "two"), {"half": 0.5})])
    assert await read(engine.tables, key(pk)) is None


# --- write_after ------------------------------------------------------------------------------


async def test_followers_are_written_after_their_guard_and_each_stands_alone(engine: Engine, pk: str) -> None:
    await put(engine.tables, key(pk, "head"), {"seq": 4})
    there = await put(engine.tables, key(pk, "there"), {"n": 1})
    guard, followers = await engine.tables.write_after(
        Update(key(pk, "head"), {"seq": 5}, when=Equals("seq", 4), returning=True),
        [
            Put(key(pk, "new"), {"n": 2}),
            Put(key(pk, "there"), {"n": 2}, when=Missing("pk")),
            Update(key(pk, "gone"), {"n": 2}),
            Put(key(pk, "last", OTHERS), {}),
        ],
    )
    assert guard == Written({"pk": pk, "sk": "head", "seq": 5})
    assert followers == [Written(), Refused(there), Refused(None), Written()]
    assert await read(engine.tables, key(pk, "new")) == {"pk": pk, "sk": "new", "n": 2}
    assert await read(engine.tables, key(pk, "last", OTHERS)) == {"pk": pk, "sk": "last"}


async def test_behind_a_refused_guard_nothing_is_tried(engine: Engine, pk: str) -> None:
    before = await put(engine.tables, key(pk, "head"), {"seq": 5})
    guard, followers = await engine.tables.write_after(
        Update(key(pk, "head"), {"seq": 5}, when=Equals("seq", 4)), [Put(key(pk, "new"), {"n": 2})]
    )
    assert guard == Refused(before)
    assert followers == []
    assert await read(engine.tables, key(pk, "new")) is None


async def test_a_guard_may_go_alone(engine: Engine, pk: str) -> None:
    assert await engine.tables.write_after(Put(key(pk), {"n": 1}), []) == (Written(), [])
    assert await read(engine.tables, key(pk)) == {"pk": pk, "sk": "one", "n": 1}


async def test_a_guard_may_have_a_full_batch_behind_it(engine: Engine, pk: str) -> None:
    keys = [key(pk, f"{n:03}") for n in range(BATCH_ITEMS_MAX - 1)]
    guard, followers = await engine.tables.write_after(Put(key(pk, "head"), {}), [Put(where, {}) for where in keys])
    assert (guard, followers) == (Written(), [Written()] * 99)
    assert None not in await engine.tables.get(keys)


async def test_a_guard_that_cannot_be_written_takes_its_followers_with_it(engine: Engine, pk: str) -> None:
    big = "x" * ITEM_BYTES_MAX
    with pytest.raises(TooLarge):
        await engine.tables.write_after(Put(key(pk), {"big": big}), [Put(key(pk, "new"), {})])
    assert await engine.tables.get([key(pk), key(pk, "new")]) == [None, None]


async def test_a_follower_that_cannot_be_written_leaves_the_others_alone(engine: Engine, pk: str) -> None:
    await put(engine.tables, key(pk, "wrong"), {"n": 0})
    guard, [wrong, last] = await engine.tables.write_after(
        Put(key(pk, "head"), {}), [Update(key(pk, "wrong"), {"gone/x": 1}), Put(key(pk, "last"), {})]
    )
    assert (guard, last) == (Written(), Written())
    assert isinstance(wrong, Unsettled)
