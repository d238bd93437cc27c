"""What the figures must show, and which of them do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """The least or the most that a figure may be. `open_ended`: it must be below `most`, not only at it."""

    least: float | None = None
    most: float | None = None
    open_ended: bool = False

    def __str__(self) -> str:
        if self.least is not None:
            return f"at least {self.least:,g}"
        return f"{'below' if self.open_ended else 'at most'} {self.most:,g}"

    def is_missed_by(self, value: float) -> bool:
        """Also by what is not a number."""
        if self.least is not None:
            return not value >= self.least
        assert self.most is not None
        return not (value < self.most if self.open_ended else value <= self.most)


BARS = {
    "decide_per_s": Bar(least=10_000),
    "admit_per_s": Bar(least=1_000),
    "cost_ratio_1e6_over_1e2": Bar(most=1.10),
    "cost_ratio_1e4_tenants_over_1": Bar(most=1.10),
    "freed_to_granted_p99_ms": Bar(most=50, open_ended=True),
    "share_apart_over_bound": Bar(most=1),
    "flood_median_wait_change_pct": Bar(most=5, open_ended=True),
    "flood_wait_over_own_part": Bar(most=1),
    "flood_grants_over_equal": Bar(least=1),
}
"""Of the admission alone: what is compared with other systems has goals, which a run of the benchmark may miss."""


def missed(figures: Mapping[str, float]) -> list[str]:
    """The keys, in the order of the figures."""
    return [key for key, value in figures.items() if key in BARS and BARS[key].is_missed_by(value)]
