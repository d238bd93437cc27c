"""Whole partitions are read page by page, to their end or to a bound."""

from __future__ import annotations

import pytest
from tests.orchestrator.world import World

from penstock_backbone import reading
from penstock_backbone.errors import Fatal
from penstock_backbone.inventory import SESSIONS
from penstock_backbone.reading import read_whole
from penstock_backbone.vocabulary import Key, Put, Query

pytestmark = pytest.mark.anyio

ALL = Query(SESSIONS, "SESSIONS", limit=2)


async def sessions(world: World, count: int) -> list[str]:
    names = [f"ses_{number}" for number in range(count)]
    await world.write(*(Put(Key(SESSIONS, ALL.pk, name), {"hb": 0}) for name in names))
    return names


@pytest.mark.parametrize("count", [0, 1, 2, 5])
async def test_a_partition_of_several_pages_is_read_to_its_end(count: int) -> None:
    world = World()
    names = await sessions(world, count)
    assert [item["sk"] for item in await read_whole(world.engine.tables, ALL)] == names


async def test_one_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGES_MAX", 2)
    world = World()
    await sessions(world, 5)
    with pytest.raises(Fatal, match="sessions SESSIONS has more items than one process can hold: 4 were read"):
        await read_whole(world.engine.tables, ALL)
