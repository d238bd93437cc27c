"""When a slot will be free, as a range, from how long runs were seen to take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pvariance

MEASURED_RUNS_MIN = 5
"""Fewer say too little about how much runs differ."""
_Z90 = 1.2816
"""How many standard deviations above the middle nine in ten of a normal distribution end."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Half of the starts are expected within `p50_ms`, nine in ten within `p90_ms`."""

    p50_ms: int
    p90_ms: int


def time_until_freed(count: int, slots: int, durations_ms: Sequence[int]) -> Estimate:
    """Until the `count`-th of `slots` busy slots is freed, each of them refilled at once by a run like the measured.

    The slots are looked at in the middle of their work. If all runs took equally long (`alike` = 1), the first round
    would free them like evenly spread points, a little `early`; the more the durations differ, the more it is like
    chance alone (Poisson), and later rounds add up the durations' own spread. The wait is taken for gamma distributed
    with that mean and variance; its quantiles are Wilson and Hilferty's. A test plays it and counts.
    """
    assert count >= 1
    assert slots >= 1
    assert len(durations_ms) >= MEASURED_RUNS_MIN
    mean = max(1.0, fmean(durations_ms))
    spread = pvariance(durations_ms) / mean**2
    alike = max(0.0, 1 - spread)
    if count <= slots:
        early = alike * count / (slots + 1)
        phases = slots**2 * count * (slots + 1 - count) / ((slots + 1) ** 2 * (slots + 2))
        variance = alike * phases + spread * count
    else:
        early = alike / 2
        variance = alike * slots / 6 + spread * count
    expected = count - early
    shape = expected**2 / max(variance, 0.01)
    each = mean / slots
    return Estimate(round(each * expected * _quantile(shape, 0.0)), round(each * expected * _quantile(shape, _Z90)))


def time_until_drained(count: int, slots: int, durations_ms: Sequence[int]) -> Estimate:
    """Until the `count`-th of `slots` busy slots is freed, none of them filled again.

    A slot that is looked at in the middle of its work is freed within t as often as the mean of min(duration, t) is a part
    of the mean duration. The quantiles of that part for the `count`-th are a beta distribution's, taken for a normal one.
    """
    assert 1 <= count <= slots
    assert len(durations_ms) >= MEASURED_RUNS_MIN
    part = count / (slots + 1)
    deviation = math.sqrt(part * (1 - part) / (slots + 2))
    return Estimate(_freed_by(part, durations_ms), _freed_by(min(1.0, part + _Z90 * deviation), durations_ms))


def _freed_by(part: float, durations_ms: Sequence[int]) -> int:
    """When the mean of min(duration, t) is that part of the mean duration."""
    left, before = part * sum(durations_ms), 0
    lasting = len(durations_ms)
    for duration in sorted(durations_ms):
        if left <= lasting * (duration - before):
            return round(before + left / lasting)
        left -= lasting * (duration - before)
        before, lasting = duration, lasting - 1
    return before


def _quantile(shape: float, deviations: float) -> float:
    """Of a gamma distribution with mean 1."""
    return max(0.0, 1 - 1 / (9 * shape) + deviations / (3 * math.sqrt(shape))) ** 3
