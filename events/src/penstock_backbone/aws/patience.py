"""Waiting before asking again: exponential, with jitter, and only so many times."""

from __future__ import annotations

from dataclasses import dataclass

from penstock_backbone.ports import Chance, Clock

ATTEMPTS_MAX = 5
PAUSE_SECONDS_FIRST = 0.025
PAUSE_SECONDS_MAX = 1.0


@dataclass(frozen=True, slots=True)
class Patience:
    clock: Clock
    chance: Chance

    async def pause(self, attempt: int) -> None:
        """After try number `attempt`, counted from 0: between half and all of the step, so that writers spread."""
        step = min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_FIRST * 2**attempt)
        await self.clock.sleep(step * (0.5 + self.chance.random() / 2))
