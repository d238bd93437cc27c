"""Waiting for an event with a limit, on the Clock port, so that virtual time works."""

from __future__ import annotations

import asyncio

from penstock_backbone.ports import Clock


class Bell:
    """Wakes everybody who waits, once a ring."""

    def __init__(self) -> None:
        self._waiters: dict[asyncio.Future[None], None] = {}

    def ring(self) -> None:
        waiters, self._waiters = self._waiters, {}
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, clock: Clock, seconds: float) -> None:
        """Returns at the next ring, or after `seconds`."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = None
        timer = asyncio.ensure_future(clock.sleep(seconds))
        try:
            await asyncio.wait([waiter, timer], return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            waiter.cancel()
            self._waiters.pop(waiter, None)
