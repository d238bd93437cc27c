"""How long to wait before trying again: longer each time, and never all at once."""

from __future__ import annotations


def backoff_seconds(attempt: int, chance: float, *, first: float = 0.05, longest: float = 2.0) -> float:
    """`attempt` counts from 1; `chance` in [0, 1) spreads the waits over half to all of the doubling step."""
    step = min(longest, first * 2.0 ** min(attempt - 1, 30))
    return step * (0.5 + chance / 2)
