"""The supervisor's word that runners are dead, which the orchestrator goes by at once."""

from __future__ import annotations

import pytest
from tests.orchestrator.world import World

from penstock_backbone.records.sessions import BURIALS, is_dead, session_key
from penstock_cli.machine import bury_sessions

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("count", [0, 1, 2, 250])
async def test_all_sessions_that_an_earlier_life_left_are_buried_however_many(count: int) -> None:
    world = World()
    names = [f"ses_{number}" for number in range(count)]
    for name in names:
        await world.open_session(name)
    await bury_sessions(world.engine, names, world.clock)
    items = [(await world.engine.tables.get([session_key(name)]))[0] for name in names]
    assert all(map(is_dead, items))
    (told,) = await world.engine.tables.get([BURIALS])
    assert (told is not None) is bool(names)
