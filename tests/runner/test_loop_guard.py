"""A stage that blocks the loop is named, and a runner that stays stuck ends; one that was frozen as a whole does not."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable

import pytest

from penstock_backbone.system import SystemClock
from penstock_runner.loop_guard import SLOW_LOOKS, STUCK_LOOKS, LoopGuard

LOOK_SECONDS = 0.02


def guarded(work: Callable[[], None]) -> bool:
    """Whether the loop counted as stuck while it did the work."""
    stuck = threading.Event()

    async def story() -> None:
        guard = LoopGuard(stuck.set, LOOK_SECONDS)

        async def beat() -> None:
            while True:
                guard.beat()
                await SystemClock().sleep(LOOK_SECONDS / 2)

        beating = asyncio.create_task(beat())
        guard.start()
        await SystemClock().sleep(10 * LOOK_SECONDS)
        work()
        await SystemClock().sleep(10 * LOOK_SECONDS)
        beating.cancel()
        guard.stop()

    asyncio.run(story())
    return stuck.is_set()


def a_stage_that_computes(looks: float) -> None:
    time.sleep(looks * LOOK_SECONDS)  # noqa: TID251  # it blocks, which is its purpose


def test_a_blocked_loop_is_told_with_the_line_that_blocks_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert not guarded(lambda: a_stage_that_computes(SLOW_LOOKS * 3))
    assert "A stage that computes or blocks must be a plain def" in caplog.messages[0]
    assert "in a_stage_that_computes" in caplog.messages[0]


def test_a_loop_that_stays_blocked_ends_the_process() -> None:
    assert guarded(lambda: a_stage_that_computes(STUCK_LOOKS * 1.5))


def test_a_loop_that_turns_is_left_alone() -> None:
    assert not guarded(lambda: None)
