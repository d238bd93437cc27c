"""Short ways to say what most tests of the tables say: one key, one write, one answer."""

from __future__ import annotations

from tests.contract.contract_inventory import THINGS

from penstock_backbone.ports import Tables
from penstock_backbone.vocabulary import Item, Key, Outcome, Put, Write, Written


def key(pk: str, sk: str = "one", table: str = THINGS) -> Key:
    return Key(table, pk, sk)


async def put(tables: Tables, where: Key, item: Item) -> Item:
    """Writes the item and returns it as it is read."""
    assert await tables.write([Put(where, item)]) == [Written()]
    return {"pk": where.pk, "sk": where.sk, **item}


async def write_one(tables: Tables, write: Write) -> Outcome:
    [outcome] = await tables.write([write])
    return outcome


async def read(tables: Tables, where: Key) -> Item | None:
    [item] = await tables.get([where])
    return item


async def read_there(tables: Tables, where: Key) -> Item:
    item = await read(tables, where)
    assert item is not None, f"nothing stands at {where}"
    return item
