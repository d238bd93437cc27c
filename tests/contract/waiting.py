"""Something that waits beside the test, and ends with it whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

Answer = TypeVar("Answer")

STILL_WAITING_SECONDS = 0.1


@asynccontextmanager
async def in_background(work: Coroutine[Any, Any, Answer]) -> AsyncIterator[asyncio.Task[Answer]]:
    """`work`, once it has been waiting for a moment: it must not have ended by then."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task], timeout=STILL_WAITING_SECONDS)
        assert not task.done(), "it did not wait"
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
