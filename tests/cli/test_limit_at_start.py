"""`penstock up --limit` is a change like any other: it is on record, and what else was said of the fleet stays."""

from __future__ import annotations

import pytest
from tests.orchestrator.faults import FaultyEngine
from tests.orchestrator.world import World

from penstock_backbone.records.limits import FLEET, Stated, changes_of, limit_key, stated
from penstock_cli.machine import limit_fleet

pytestmark = pytest.mark.anyio


async def said(world: World) -> Stated:
    (item,) = await world.engine.tables.get([limit_key(FLEET)])
    return stated(FLEET, item)


async def changes(world: World) -> list[tuple[str, int | None]]:
    page = await world.engine.tables.query(changes_of(FLEET, limit=10))
    return [(item["who"], item["new"]["limit"]) for item in page.items]


async def test_a_limit_at_the_start_is_on_record_and_keeps_what_an_operator_has_said() -> None:
    world = World()
    await world.change(FLEET, Stated(3, paused=True, yields=True))
    await limit_fleet(world.engine, 8, world.clock, world.ids)
    assert await said(world) == Stated(8, paused=True, yields=True)
    assert await changes(world) == [("penstock --limit", 8), ("ops", 3)]


async def test_the_same_limit_again_changes_nothing() -> None:
    world = World()
    for _ in range(2):
        await limit_fleet(world.engine, 8, world.clock, world.ids)
    assert await changes(world) == [("penstock --limit", 8)]


@pytest.mark.parametrize("kind", ["lose_request", "lose_response"])
async def test_a_lost_answer_leaves_one_change(kind: str) -> None:
    world = World()
    engine = FaultyEngine(world.engine)
    getattr(engine.tables, kind).append("transact")
    await limit_fleet(engine, 8, world.clock, world.ids)
    assert (await said(world)).limit == 8
    assert await changes(world) == [("penstock --limit", 8)]
