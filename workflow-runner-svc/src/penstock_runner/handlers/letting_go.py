"""Ends the tasks of a run, and knows those that will not end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakSet

from penstock_backbone.ports import Clock

CANCEL_SECONDS = 5.0
"""For stages to let go once their run is cancelled, or its time is over."""

_ended: WeakSet[asyncio.Task[Any]] = WeakSet()


def end(task: asyncio.Task[Any]) -> None:
    """Cancels it, because its run, or what it is a part of, is over for it."""
    _ended.add(task)
    task.cancel()


def is_ended(task: asyncio.Task[Any]) -> bool:
    """How often it was cancelled does not say so: the code of a stage leaves such counts behind. A TaskGroup of Python 3.11
    does, when one of its tasks fails."""
    return task in _ended


async def let_go(
    branches: Sequence[asyncio.Task[None]], clock: Clock, is_left_behind: Callable[[asyncio.Task[None]], bool]
) -> list[asyncio.Task[None]]:
    """Cancels them all, and waits until they have ended; not for long, and not for what is known not to end. Returns those
    that have not."""
    for branch in branches:
        end(branch)
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
