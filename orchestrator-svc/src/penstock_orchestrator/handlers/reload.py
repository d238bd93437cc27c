"""When everything is read again, so that what no hint has told of is found."""

from __future__ import annotations

import math

from penstock_backbone.ports import Clock
from penstock_orchestrator.handlers.shards import Shards

EVERY_SECONDS = 30.0
"""For so long can a lost hint go unnoticed that no other duty finds sooner."""
TOKENS_PER_SECOND_MAX = 1_000
"""Where many wait, reading them all again is rarer than that, so that it never costs more than a few hundredths of the time."""


class Reload:
    def __init__(self, shards: Shards, clock: Clock) -> None:
        self._shards = shards
        self._clock = clock
        self._read_at = -math.inf

    def is_due(self, every: float = EVERY_SECONDS) -> bool:
        """True at most once in `every` seconds: who is told so reads everything."""
        now = self._clock.monotonic()
        if now < self._read_at + max(every, self._shards.tokens / TOKENS_PER_SECOND_MAX):
            return False
        self._read_at = now
        return True
