"""Makes a failing seed's list of faults as short as it can: delta debugging (ddmin) over the list."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.simulation.plan import Fault

TRIES_MAX = 400


def shrunk(faults: Sequence[Fault], fails: Callable[[Sequence[Fault]], bool]) -> list[Fault]:
    """`fails` says whether the world still breaks a rule with these faults. Every answer is the same every time."""
    left = list(faults)
    parts, tries = 2, 0
    if fails([]):
        return []
    while len(left) >= 2 and tries < TRIES_MAX:
        size = -(-len(left) // parts)
        for start in range(0, len(left), size):
            without = left[:start] + left[start + size :]
            tries += 1
            if fails(without):
                left = without
                parts = max(parts - 1, 2)
                break
        else:
            if parts >= len(left):
                break
            parts = min(parts * 2, len(left))
    return left
