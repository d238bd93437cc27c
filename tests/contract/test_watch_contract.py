"""Watching one item: woken soon after each commit on it, never by silence, and nothing missed in between."""

from __future__ import annotations

import asyncio

import pytest
from tests.contract.contract_inventory import THINGS, WATCHED
from tests.contract.waiting import in_background
from tests.contract.writing import key

from penstock_backbone.engines import Engine
from penstock_backbone.vocabulary import Delete, Key, Missing, Put, Update

pytestmark = pytest.mark.anyio

SOON_SECONDS = 3.0
NOTHING_SECONDS = 0.1
A_WHILE_SECONDS = 0.4


def watched(pk: str, sk: str = "one") -> Key:
    return key(pk, sk, WATCHED)


async def until_quiet(engine: Engine, where: Key) -> None:
    """A wake-up more than needed is allowed; the test begins when there are none left."""
    for _ in range(20):
        if not await engine.watch.changed(where, NOTHING_SECONDS):
            return
    raise AssertionError("woken again and again by nothing")


async def test_the_first_look_is_always_a_change(engine: Engine, pk: str) -> None:
    """Also of an item that is not there: what happened between reading and watching cannot be missed."""
    async with asyncio.timeout(SOON_SECONDS):
        assert await engine.watch.changed(watched(pk), 60.0)
    await engine.watch.forget(watched(pk))


async def test_without_a_commit_the_watch_ends_with_its_time(engine: Engine, pk: str) -> None:
    await engine.tables.write([Put(watched(pk), {"n": 1})])
    await engine.watch.changed(watched(pk), NOTHING_SECONDS)
    await until_quiet(engine, watched(pk))
    async with asyncio.timeout(SOON_SECONDS):
        assert not await engine.watch.changed(watched(pk), NOTHING_SECONDS)
    await engine.watch.forget(watched(pk))


@pytest.mark.parametrize("table", [WATCHED, THINGS])
async def test_a_commit_wakes_whoever_waits_whether_or_not_its_table_is_streamed(
    engine: Engine, pk: str, table: str
) -> None:
    where = key(pk, "one", table)
    await engine.watch.changed(where, 0)
    for write in (Put(where, {"n": 1}), Update(where, {"n": 2}), Delete(where)):
        await until_quiet(engine, where)
        async with in_background(engine.watch.changed(where, 20.0)) as waiting:
            await engine.tables.write([write])
            async with asyncio.timeout(SOON_SECONDS):
                assert await waiting
    await engine.watch.forget(where)


async def test_a_commit_between_two_watches_is_not_missed(engine: Engine, pk: str) -> None:
    where = watched(pk)
    await engine.watch.changed(where, 0)
    await until_quiet(engine, where)
    await engine.tables.write([Put(where, {"n": 1})])
    async with asyncio.timeout(SOON_SECONDS):
        assert await engine.watch.changed(where, 20.0)
    await engine.watch.forget(where)


async def test_another_processes_commit_wakes_as_well(engine: Engine, connections: list[Engine], pk: str) -> None:
    where = watched(pk)
    await engine.watch.changed(where, 0)
    await until_quiet(engine, where)
    async with in_background(engine.watch.changed(where, 20.0)) as waiting:
        await connections[0].tables.write([Put(where, {"n": 1})])
        async with asyncio.timeout(SOON_SECONDS):
            assert await waiting
    await engine.watch.forget(where)


async def test_neither_another_items_commit_nor_a_refusal_wakes(engine: Engine, pk: str) -> None:
    where = watched(pk)
    await engine.tables.write([Put(where, {"n": 1})])
    await engine.watch.changed(where, 0)
    await until_quiet(engine, where)
    await engine.tables.write([Put(watched(pk, "two"), {"n": 1}), Put(where, {"n": 2}, when=Missing("pk"))])
    await engine.tables.write([Update(where, {"n": 1})])
    assert not await engine.watch.changed(where, A_WHILE_SECONDS)
    await engine.watch.forget(where)


async def test_one_process_follows_many_items(engine: Engine, pk: str) -> None:
    keys = [watched(pk, f"{n}") for n in range(20)]
    for where in keys:
        await engine.watch.changed(where, 0)
    await asyncio.gather(*(until_quiet(engine, where) for where in keys))
    await engine.tables.write([Put(where, {}) for where in keys[::2]])
    async with asyncio.timeout(2 * SOON_SECONDS):
        woken = await asyncio.gather(*(engine.watch.changed(where, SOON_SECONDS) for where in keys[::2]))
    assert woken == [True] * 10
    quiet = await asyncio.gather(*(engine.watch.changed(where, 0) for where in keys[1::2]))
    assert quiet == [False] * 10
    for where in keys:
        await engine.watch.forget(where)


async def test_what_was_forgotten_begins_anew(engine: Engine, pk: str) -> None:
    where = watched(pk)
    await engine.watch.changed(where, 0)
    await engine.watch.forget(where)
    await engine.watch.forget(where)
    assert await engine.watch.changed(where, 0)
    await engine.watch.forget(where)
