"""Ends the tasks of a run, and knows those that will not end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from penstock_backbone.ports import Clock

CANCEL_SECONDS = 5.0
"""For stages to let go once their run is cancelled, or its time is over."""


async def let_go(
    branches: Sequence[asyncio.Task[None]], clock: Clock, is_left_behind: Callable[[asyncio.Task[None]], bool]
) -> list[asyncio.Task[None]]:
    """Cancels them all, and waits until they have ended; not for long, and not for what is known not to end. Returns those
    that have not."""
    for branch in branches:
        branch.cancel()
    patience = asyncio.create_task(clock.sleep(CANCEL_SECONDS))
    try:
        while not patience.done():
            waited = [branch for branch in branches if not branch.done() and not is_left_behind(branch)]
            if not waited:
                break
            await asyncio.wait([*waited, patience], return_when=asyncio.FIRST_COMPLETED)
    finally:
        patience.cancel()
    return [branch for branch in branches if not branch.done()]
