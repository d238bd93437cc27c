"""Virtual time for tests: when nothing can run, the clock jumps to the next sleeper. An hour takes no time at all."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

Answer = TypeVar("Answer")

BORN = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
STEPS_MAX = 5_000_000
VIRTUAL_SECONDS_MAX = 4 * 24 * 3600.0


class Deadlock(AssertionError):
    """Nobody can go on, and no time will change that."""


class VirtualClock:
    def __init__(self) -> None:
        self._now = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> datetime:
        return BORN + timedelta(seconds=self._now)

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._now + max(0.0, seconds), self._count, future))
        await future

    def freeze(self, seconds: float) -> None:
        """The whole process stands still: time passes and nobody runs."""
        self._now += seconds

    async def drive(self, story: Awaitable[Answer]) -> Answer:
        loop: Any = asyncio.get_running_loop()
        main = asyncio.ensure_future(story)
        for _ in range(STEPS_MAX):
            await asyncio.sleep(0)  # noqa: TID251  # one round of the real loop, no time
            if main.done():
                return await main
            if not loop._ready and not self._advance():
                main.cancel()
                raise Deadlock(f"nothing can happen any more at {self._now:.3f} s")
            if self._now > VIRTUAL_SECONDS_MAX:
                break
        main.cancel()
        raise AssertionError(f"still not over at {self._now:.3f} s of virtual time")

    def _advance(self) -> bool:
        while self._sleepers:
            at, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                self._now = max(self._now, at)
                future.set_result(None)
                return True
        return False
