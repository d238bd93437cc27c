"""What a stream consumer has done is settled a moment later, all of it together."""

from __future__ import annotations

import asyncio

import pytest
from tests.orchestrator.test_stream_consumer import Handler, consumer, world_with

from penstock_backbone.errors import Retryable
from penstock_orchestrator.handlers import stream_consumer
from penstock_orchestrator.handlers.stream_consumer import SETTLE_SECONDS

pytestmark = pytest.mark.anyio


async def test_what_is_done_within_a_moment_is_settled_together_and_again_when_that_failed() -> None:
    world, handler = await world_with(2), Handler()
    settled: list[str] = []
    losses = ["settle"]

    class Streams:
        read = world.engine.streams.read

        async def settle(self, name: str, through: str) -> None:
            settled.append(through)
            if losses:
                raise Retryable(f"the answer of {losses.pop()} was lost: try again")
            await world.engine.streams.settle(name, through)

    relay = consumer(world, handler, streams=Streams())
    for number in (3, 4):
        await relay.read(0.0)
        await relay.handle()
        await world.submit(number)
    assert settled == [], "more may be done in a moment"
    began = world.clock.elapsed
    with pytest.raises(Retryable):
        await relay.settle()
    await relay.settle()
    assert world.clock.elapsed - began == pytest.approx(2 * SETTLE_SECONDS)
    assert settled == [f"{3:020d}"] * 2
    settling = asyncio.create_task(relay.settle())
    await world.clock.sleep(1.0)
    assert not settling.done(), "nothing is left to settle"
    settling.cancel()


async def test_more_than_may_stay_unsettled_is_settled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_consumer, "UNSETTLED_RECORDS_MAX", 3)
    world, handler = await world_with(2), Handler()
    relay = consumer(world, handler)
    await relay.read(0.0)
    await relay.handle()
    await world.submit(3)
    await relay.read(0.0)
    await relay.handle()
    world.engine.reopen()
    await relay.read(0.0)
    assert not relay._waiting
