"""What a replay's courses, or those of an ideal scheduler, come to in figures."""

from __future__ import annotations

import bisect
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from penstock_cli.load.domain.course import Course

MOMENT_SECONDS = 0.2
MOMENT_OF_A_RUN = 0.1
"""The larger of both, for the run in the middle, is the time within which changes count in favour of fairness: a runner takes
a run up a while after the decision that granted it, and only that is told."""


@dataclass(frozen=True, slots=True)
class Spread:
    p50: float
    p90: float
    most: float


@dataclass(frozen=True, slots=True)
class TenantMeasures:
    runs: int
    wait_p50_s: float
    slowdown_mean: float


@dataclass(frozen=True, slots=True)
class Measures:
    """`makespan_s`: from the first run's arrival to the last one's end. `used`: of all slots while any run was there, 0 to 1;
    `used_of_wanted`: of those for which there was a run. `jain`: Jain's index over the tenants' mean slowdowns, from
    1 / number of tenants to 1. `lead_slots`: how many slots more than a waiting tenant another one ever held when it
    was given one more, for longer than a moment; None: no tenant ever waited while another was served."""

    wait_s: Spread
    makespan_s: float
    used: float
    used_of_wanted: float
    overhead_s: Spread
    jain: float
    lead_slots: int | None
    tenants: Mapping[str, TenantMeasures]


def measure(courses: Sequence[Course], slots: int) -> Measures:
    """Of one run at least."""
    by_tenant: dict[str, list[Course]] = defaultdict(list)
    for course in courses:
        by_tenant[course.due.run.tenant].append(course)
    tenants = {
        tenant: TenantMeasures(
            len(own),
            statistics.median(course.wait_s for course in own),
            statistics.fmean(course.slowdown for course in own),
        )
        for tenant, own in sorted(by_tenant.items())
    }
    used, used_of_wanted = _use(courses, slots)
    return Measures(
        wait_s=spread([course.wait_s for course in courses]),
        makespan_s=max(course.ended_s for course in courses) - min(course.due.at_s for course in courses),
        used=used,
        used_of_wanted=used_of_wanted,
        overhead_s=spread([course.overhead_s for course in courses]),
        jain=jain([tenant.slowdown_mean for tenant in tenants.values()]),
        lead_slots=largest_lead(by_tenant, moment(courses)),
        tenants=tenants,
    )


def spread(values: Sequence[float]) -> Spread:
    ordered = sorted(values)
    return Spread(statistics.median(ordered), _percentile(ordered, 90), ordered[-1])


def jain(values: Sequence[float]) -> float:
    """1 when all are equal, 1 / n when one has everything."""
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else 1.0


def moment(courses: Sequence[Course]) -> float:
    return max(MOMENT_SECONDS, MOMENT_OF_A_RUN * statistics.median(course.due.length_s for course in courses))


def largest_lead(by_tenant: Mapping[str, Sequence[Course]], moment_s: float) -> int | None:
    """Looked at whenever a slot is given: what its taker then holds, over what each tenant holds that waits."""
    lines = {tenant: _Line(own, moment_s) for tenant, own in by_tenant.items()}
    leads = [
        lines[tenant].holding(start, start) - lines[other].holding(start - moment_s, start)
        for tenant, own in by_tenant.items()
        for course in own
        for start, _ in course.holds
        for other in lines
        if other != tenant and lines[other].waits(start)
    ]
    return max(0, *leads) if leads else None


class _Line:
    """One tenant's runs, sorted so that each question costs a few look-ups."""

    def __init__(self, courses: Sequence[Course], moment_s: float) -> None:
        waits = [wait for course in courses for wait in _waits(course) if wait[1] - wait[0] > 2 * moment_s]
        self._waits_from = sorted(since + moment_s for since, _ in waits)
        self._waits_to = sorted(until - moment_s for _, until in waits)
        self._holds_from = sorted(start for course in courses for start, _ in course.holds)
        self._holds_to = sorted(end for course in courses for _, end in course.holds)

    def waits(self, at: float) -> bool:
        """One of them has waited for a moment, and goes on waiting for another."""
        return bisect.bisect_right(self._waits_from, at) > bisect.bisect_right(self._waits_to, at)

    def holding(self, since: float, until: float) -> int:
        """How many of them held a slot at any time between."""
        return bisect.bisect_right(self._holds_from, until) - bisect.bisect_right(self._holds_to, since)


def _waits(course: Course) -> list[tuple[float, float]]:
    """From when to when it stood in line."""
    since = [course.in_line_s, *(end for _, end in course.holds)]
    return list(zip(since, (start for start, _ in course.holds), strict=False))


def _use(courses: Sequence[Course], slots: int) -> tuple[float, float]:
    """What was held, over all slots of the time when any run was there, and over those that could have been held."""
    changes: list[tuple[float, int, int]] = []
    for course in courses:
        changes += [(min(course.due.at_s, course.started_s), 1, 0), (course.ended_s, -1, 0)]
        for start, end in course.holds:
            changes += [(start, 0, 1), (end, 0, -1)]
    there = held = 0
    held_s = busy_s = wanted_s = 0.0
    before = 0.0
    for at, more_there, more_held in sorted(changes):
        held_s += held * (at - before)
        busy_s += (at - before) if there else 0.0
        wanted_s += min(slots, there) * (at - before)
        there, held, before = there + more_there, held + more_held, at
    return held_s / (slots * busy_s), held_s / wanted_s


def _percentile(ordered: Sequence[float], percent: int) -> float:
    if len(ordered) == 1:
        return ordered[0]
    return statistics.quantiles(ordered, n=100, method="inclusive")[percent - 1]
