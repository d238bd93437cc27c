"""When a run may start: estimates that are about right, and none where they would not be."""

from __future__ import annotations

import heapq
import random  # noqa: TID251  # the tests throw their own dice, always from a seed
from typing import Any

import pytest

from penstock_api.domain.estimate import time_until_freed

# --- calibration -----------------------------------------------------------------------------------------------


def freed_after(chance: random.Random, draw_one: Any, count: int, slots: int) -> float:
    """Plays it: slots in the middle of their work, each refilled at once."""
    ends = []
    for _ in range(slots):
        at = -60_000 * (40 + chance.random())
        while at <= 0:
            at += draw_one(chance)
        ends.append(at)
    heapq.heapify(ends)
    for _ in range(count - 1):
        heapq.heapreplace(ends, ends[0] + draw_one(chance))
    return ends[0]


@pytest.mark.parametrize("spread", [0.1, 0.5, 1.0])
def test_estimates_are_calibrated(spread: float) -> None:
    """Of many played waits, about half start within p50 and nine in ten within p90, at every place and width."""

    def draw_one(chance: random.Random) -> float:
        return chance.lognormvariate(0, spread) * 60_000

    chance = random.Random(11)
    within_50 = within_90 = plays = 0
    for count, slots in ((1, 1), (1, 5), (3, 5), (5, 5), (10, 2), (20, 5), (200, 20)):
        for _ in range(60):
            estimate = time_until_freed(count, slots, [round(draw_one(chance)) for _ in range(100)])
            for _ in range(3):
                wait = freed_after(chance, draw_one, count, slots)
                within_50 += wait <= estimate.p50_ms
                within_90 += wait <= estimate.p90_ms
                plays += 1
    print(f"spread {spread}: {within_50 / plays:.0%} within p50, {within_90 / plays:.0%} within p90")  # noqa: T201  # the figure
    assert 0.42 <= within_50 / plays <= 0.58
    assert 0.83 <= within_90 / plays <= 0.95
