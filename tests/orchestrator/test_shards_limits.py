"""With several shards a look at the limits costs the ledger and no tokens, and nobody decides by a ledger that is older."""

from __future__ import annotations

import pytest
from tests.orchestrator.faults import FaultyEngine
from tests.orchestrator.test_shards import submit, turn
from tests.orchestrator.world import World, hints, run_of

from penstock_backbone.errors import Retryable
from penstock_orchestrator.domain.hints import Hints

pytestmark = pytest.mark.anyio


async def test_limits_that_are_read_again_cost_no_tokens_until_they_or_the_ledger_have_changed() -> None:
    world = World()
    engine = FaultyEngine(world.engine)
    await world.limit(fleet=2, shards=2)
    parts, other = world.orchestrator(engine), world.orchestrator()
    projects = await submit(world, 6)
    await turn(parts, hints(projects=projects))
    await turn(other)

    async def read_again() -> list[str]:
        engine.tables.calls.clear()
        await turn(parts, Hints(limits=True))
        return engine.tables.calls

    of_limits_and_ledger = ["query", "get"]
    assert await read_again() == of_limits_and_ledger
    engine.tables.lose_request.append("get")
    with pytest.raises(Retryable):
        await read_again()
    engine.tables.calls.clear()
    await turn(parts, Hints())
    assert "get" in engine.tables.calls, "until the ledger is known, nobody decides by the new limits"
    await world.limit(fleet=3)
    assert len(await read_again()) > len(of_limits_and_ledger)
    assert len(world.held()) == 3
    assert await read_again() == of_limits_and_ledger
    await world.limit(fleet=6)
    await turn(other, Hints(limits=True))
    await world.limit(fleet=3)
    assert len(await read_again()) > len(of_limits_and_ledger), "the other one has changed the ledger"
    assert len(world.held()) == 6
    assert parts.admission.shards.ledger == other.admission.shards.ledger


async def test_a_lowered_limit_is_not_passed_by_whoever_has_not_seen_budgets_grow() -> None:
    """`late` reads the limit as it knew it, while that was higher for others, and another shard's budget has grown with it."""
    world = World()
    await world.limit(fleet=3, shards=2)
    late, other = world.orchestrator(), world.orchestrator()
    bronze = [await world.submit(1, tenant="bronze")]
    await turn(other, hints(projects=bronze, limits=True))
    await turn(late)
    await world.limit(fleet=8)
    bronze += [await world.submit(number, tenant="bronze") for number in range(2, 7)]
    await turn(other, hints(projects=bronze, limits=True))
    await world.limit(fleet=3)
    await turn(late, hints(projects=[await world.submit(7, tenant="acme")], limits=True))
    assert world.held() == set(map(run_of, bronze))
