"""The real clock, ids and chance: the one file that may ask the machine for them."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime

from ulid import ULID


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """CLOCK_BOOTTIME where there is one: a suspended machine's leases must not look fresh."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SystemIds:
    def new(self, prefix: str) -> str:
        return f"{prefix}_{ULID()}"


class SystemChance:
    def random(self) -> float:
        return random.random()
