"""Ends attempts that go on beyond their stage's timeout.

One look at all of them, a few times a second, costs less than a timer for each attempt.
"""

from __future__ import annotations

from typing import Protocol

from penstock_backbone.ports import Clock

WATCH_SECONDS = 0.2
"""A timeout is kept to within this."""


class Limited(Protocol):
    deadline: float

    def expire(self) -> None: ...


class Watchdog:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watched: dict[Limited, None] = {}

    def watch(self, attempt: Limited) -> None:
        self._watched[attempt] = None

    def release(self, attempt: Limited) -> None:
        self._watched.pop(attempt, None)

    def turn(self) -> None:
        now = self._clock.monotonic()
        for attempt in [attempt for attempt in self._watched if now >= attempt.deadline]:
            self.release(attempt)
            attempt.expire()
