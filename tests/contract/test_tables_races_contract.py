"""Many writers at once, from several processes' connections: one wins, none is lost, none is counted twice."""

from __future__ import annotations

import asyncio

import pytest
from tests.contract.writing import key, put, read_there, write_one

from penstock_backbone.engines import Engine
from penstock_backbone.ports import Tables
from penstock_backbone.vocabulary import (
    Cancelled,
    Committed,
    Delete,
    Equals,
    Exists,
    Missing,
    Outcome,
    Put,
    Refused,
    TransactionPart,
    Unsettled,
    Update,
    Written,
)

pytestmark = pytest.mark.anyio

WRITERS = 20
TRIES_MAX = 500


@pytest.fixture
def writers(connections: list[Engine]) -> list[Tables]:
    """Twenty, spread over a few connections."""
    return [connections[number % len(connections)].tables for number in range(WRITERS)]


async def settled(tables: Tables, update: Update) -> Outcome:
    """Repeats what is not settled; a refusal of a repeated write is looked at by whoever asked."""
    for _ in range(TRIES_MAX):
        outcome = await write_one(tables, update)
        if not isinstance(outcome, Unsettled):
            return outcome
    raise AssertionError("never settled")


async def test_of_twenty_claimers_of_one_item_one_wins_and_the_others_see_who(writers: list[Tables], pk: str) -> None:
    await put(writers[0], key(pk), {"state": "free"})
    outcomes = await asyncio.gather(
        *(
            settled(tables, Update(key(pk), {"state": "taken", "by": number}, when=Equals("state", "free")))
            for number, tables in enumerate(writers)
        )
    )
    [winner] = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, Written)]
    taken = {"pk": pk, "sk": "one", "state": "taken", "by": winner}
    assert [outcome for outcome in outcomes if outcome != Written()] == [Refused(taken)] * (WRITERS - 1)
    assert await read_there(writers[0], key(pk)) == taken


async def test_of_twenty_creators_of_one_item_one_wins(writers: list[Tables], pk: str) -> None:
    for round_number in range(3):
        where = key(pk, str(round_number))
        writes = [Put(where, {"by": number}, when=Missing("pk")) for number in range(WRITERS)]
        outcomes = await asyncio.gather(
            *(write_one(tables, write) for tables, write in zip(writers, writes, strict=True))
        )
        [winner] = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, Written)]
        assert (await read_there(writers[0], where))["by"] == winner


async def test_of_twenty_batches_that_want_the_same_items_each_item_goes_to_one(writers: list[Tables], pk: str) -> None:
    keys = [key(pk, f"{n}") for n in range(10)]
    answers = await asyncio.gather(
        *(
            tables.write([Put(where, {"by": number}, when=Missing("pk")) for where in keys])
            for number, tables in enumerate(writers)
        )
    )
    winners = [[by for by, outcomes in enumerate(answers) if isinstance(outcomes[n], Written)] for n in range(10)]
    assert [len(of_one) for of_one in winners] == [1] * 10
    items = await writers[0].get(keys)
    assert [item and item["by"] for item in items] == [by for [by] in winners]


async def increment(tables: Tables, pk: str) -> None:
    """Read, add one, write if nobody came between; a refusal shows what to begin from the next time."""
    seen = (await read_there(tables, key(pk)))["n"]
    for _ in range(TRIES_MAX):
        outcome = await settled(tables, Update(key(pk), {"n": seen + 1}, when=Equals("n", seen)))
        if isinstance(outcome, Written):
            return
        assert isinstance(outcome, Refused)
        assert outcome.item is not None
        seen = outcome.item["n"]
    raise AssertionError("never succeeded")


async def test_twenty_writers_who_add_five_times_make_a_hundred(writers: list[Tables], pk: str) -> None:
    at_once = asyncio.Semaphore(6)  # Twenty would spend their time on refusing each other.

    async def add(tables: Tables) -> None:
        for _ in range(5):
            async with at_once:
                await increment(tables, pk)

    await put(writers[0], key(pk), {"n": 0})
    await asyncio.gather(*map(add, writers))
    assert (await read_there(writers[0], key(pk)))["n"] == 100


async def acquire(tables: Tables, pk: str, name: str) -> bool:
    """One of five places, and a lease that says whose: both or neither."""
    for _ in range(TRIES_MAX):
        held = (await read_there(tables, key(pk, "places")))["held"]
        if held >= 5:
            return False
        parts: list[TransactionPart] = [
            Update(key(pk, "places"), {"held": held + 1}, when=Equals("held", held)),
            Put(key(pk, f"lease#{name}"), {}, when=Missing("pk")),
        ]
        if await tables.transact(parts) == Committed():
            return True
    raise AssertionError("never decided")


async def release(tables: Tables, pk: str, name: str) -> None:
    for _ in range(TRIES_MAX):
        held = (await read_there(tables, key(pk, "places")))["held"]
        parts: list[TransactionPart] = [
            Update(key(pk, "places"), {"held": held - 1}, when=Equals("held", held)),
            Delete(key(pk, f"lease#{name}"), when=Exists("pk")),
        ]
        if await tables.transact(parts) == Committed():
            return
    raise AssertionError("never released")


async def leases(tables: Tables, pk: str) -> int:
    items = await tables.get([key(pk, f"lease#{number}") for number in range(WRITERS)])
    return sum(item is not None for item in items)


async def test_five_places_are_given_to_five_of_twenty(writers: list[Tables], pk: str) -> None:
    await put(writers[0], key(pk, "places"), {"held": 0})
    won = await asyncio.gather(*(acquire(tables, pk, str(number)) for number, tables in enumerate(writers)))
    assert sum(won) == 5
    assert (await read_there(writers[0], key(pk, "places")))["held"] == 5
    assert await leases(writers[0], pk) == 5
    holders = [number for number, mine in enumerate(won) if mine]
    await asyncio.gather(*(release(writers[number], pk, str(number)) for number in holders))
    assert (await read_there(writers[0], key(pk, "places")))["held"] == 0
    assert await leases(writers[0], pk) == 0


async def test_money_moved_by_many_is_neither_made_nor_lost(writers: list[Tables], pk: str) -> None:
    async def move(tables: Tables) -> None:
        for _ in range(TRIES_MAX):
            first, second = await tables.get([key(pk, "a"), key(pk, "b")])
            assert first is not None
            assert second is not None
            parts: list[TransactionPart] = [
                Update(key(pk, "a"), {"n": first["n"] - 1}, when=Equals("n", first["n"])),
                Update(key(pk, "b"), {"n": second["n"] + 1}, when=Equals("n", second["n"])),
            ]
            if await tables.transact(parts) == Committed():
                return
        raise AssertionError("never moved")

    await put(writers[0], key(pk, "a"), {"n": 100})
    await put(writers[0], key(pk, "b"), {"n": 0})
    await asyncio.gather(*map(move, writers))
    items = await writers[0].get([key(pk, "a"), key(pk, "b")])
    assert [item and item["n"] for item in items] == [100 - WRITERS, WRITERS]


async def test_a_cancelled_transaction_takes_nobody_elses_write_back(writers: list[Tables], pk: str) -> None:
    """Half of the writers put items of their own while the other half's transactions are cancelled."""
    keys = [key(pk, f"{number:02}") for number in range(WRITERS)]

    async def one(number: int, tables: Tables) -> None:
        if number % 2:
            outcome = await tables.transact([Put(keys[number], {}), Update(key(pk, "nothing"), {"n": 1})])
            assert outcome == Cancelled((None, Refused(None)))
        else:
            assert await write_one(tables, Put(keys[number], {})) == Written()

    await asyncio.gather(*(one(number, tables) for number, tables in enumerate(writers)))
    found = await writers[0].get(keys)
    assert [item is not None for item in found] == [number % 2 == 0 for number in range(WRITERS)]
