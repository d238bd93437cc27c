"""How long this service waits before it repeats a port call whose outcome is unknown, and how often."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from penstock_backbone.errors import Retryable
from penstock_runner.domain.plan import backoff_seconds
from penstock_runner.ports import World

Answer = TypeVar("Answer")

REPEAT_SECONDS_FIRST = 0.05
REPEAT_SECONDS_MAX = 2.0


async def pause(world: World, failures: int) -> None:
    """Before the repetition that follows the failure number `failures` (from 1)."""
    delay = backoff_seconds(REPEAT_SECONDS_FIRST, failures=failures, chance=world.chance.random())
    await world.clock.sleep(min(delay, REPEAT_SECONDS_MAX))


async def repeated(world: World, call: Callable[[], Awaitable[Answer]], attempts_max: int | None = None) -> Answer:
    """For calls that do the same when they are repeated. Without `attempts_max` it goes on until it is cancelled:
    by the stage's timeout, or because the session is over."""
    failures = 0
    while True:
        try:
            return await call()
        except Retryable:
            failures += 1
            if failures == attempts_max:
                raise
        await pause(world, failures)
