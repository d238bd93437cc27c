"""When each run is due, what became of it, and what an ideal scheduler with as many slots would have made of it."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from penstock_cli.load.domain.trace import TracedRun


@dataclass(frozen=True, slots=True)
class Due:
    """A run of the trace in the replay's own seconds: when it arrives, and how long it takes."""

    run: TracedRun
    at_s: float
    length_s: float


@dataclass(frozen=True, slots=True)
class Course:
    """What became of a run, in seconds since the replay began. `holds`: from when to when it had a slot, more than once
    if it lost its runner. `in_line_s`: since when the scheduler knew of it."""

    due: Due
    in_line_s: float
    holds: tuple[tuple[float, float], ...]

    @property
    def started_s(self) -> float:
        return self.holds[0][0]

    @property
    def ended_s(self) -> float:
        return self.holds[-1][1]

    @property
    def wait_s(self) -> float:
        """From when it was due: a replay that posts late does not look better for it."""
        return max(0.0, self.started_s - self.due.at_s)

    @property
    def slowdown(self) -> float:
        """How many times as long as the run itself it took from its arrival to its end."""
        return (self.ended_s - self.due.at_s) / self.due.length_s

    @property
    def overhead_s(self) -> float:
        """Of holding a slot beyond the time that the run itself takes."""
        return sum(end - start for start, end in self.holds) - self.due.length_s


def plan(runs: Sequence[TracedRun], *, speed: float, slots: int, busy_percent: float | None) -> list[Due]:
    """`busy_percent` draws the arrivals together, or apart, all by one factor, so that the runs that arrive would keep so
    much of the slots busy; None leaves them as they were. Durations stay as they are."""
    stretch = 1.0
    span = runs[-1].arrival_s - runs[0].arrival_s
    if busy_percent is not None and span > 0:
        stretch = 100 / busy_percent * offered_seconds(runs, slots) / span
    return [Due(run, run.arrival_s * stretch / speed, run.duration_s / speed) for run in runs]


def offered_seconds(runs: Sequence[TracedRun], slots: int) -> float:
    """How long all slots together need for all runs."""
    return sum(run.duration_s for run in runs) / slots


def ideal(dues: Sequence[Due], slots: int) -> list[Course]:
    """List scheduling: whoever arrived first gets the first free slot, at once. No scheduler that may neither look ahead
    nor interrupt a run leaves less of the slots unused."""
    free = [0.0] * slots
    courses = []
    for due in sorted(dues, key=lambda due: due.at_s):
        start = max(due.at_s, heapq.heappop(free))
        end = start + due.length_s
        heapq.heappush(free, end)
        courses.append(Course(due, due.at_s, ((start, end),)))
    return courses
