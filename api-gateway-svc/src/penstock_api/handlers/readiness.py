"""Whether this process can do its work, asked of the engine at most once a second."""

from __future__ import annotations

import asyncio

from penstock_api.handlers.catalog import Catalog
from penstock_backbone.errors import BackboneError
from penstock_backbone.ports import Clock

FRESH_SECONDS = 1.0
ANSWER_SECONDS_MAX = 2.0


class Readiness:
    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock
        self._checked_at: float | None = None
        self._obstacle: str | None = None

    async def obstacle(self) -> str | None:
        """One sentence that says what is missing; None: ready."""
        now = self._clock.monotonic()
        if self._checked_at is None or now - self._checked_at > FRESH_SECONDS:
            self._obstacle = await self._check()
            self._checked_at = self._clock.monotonic()
        return self._obstacle

    async def _check(self) -> str | None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                await self._catalog.read_again()
        except (TimeoutError, BackboneError):
            return "The storage behind the API does not answer: see whether the store, or AWS, can be reached."
        if not await self._catalog.known():
            return "No runner has announced a workflow yet: start one, for example with `penstock up`."
        return None
