"""Everything that a replay reports, as flat figures, and what must be said beside them."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from penstock_backbone.words import counted
from penstock_cli.load.domain.course import Course, Due, ideal
from penstock_cli.load.domain.measures import Measures, Spread, measure

OVERHEAD_SMALL = 0.1
"""Of the shortest run: below this the machinery hardly shows in the figures."""
OVERHEAD_LARGE = 0.5
"""Of the run in the middle: above this there is little else in them."""
LATE_SMALL = 0.1
"""Of the run in the middle: posting that much later than a run was due is told."""
ERRORS_SHOWN_MAX = 3


@dataclass(frozen=True, slots=True)
class Settings:
    """`busy_percent` None: the arrivals are the trace's own."""

    trace: str
    speed: int
    slots: int
    busy_percent: int | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """`courses` of the runs that succeeded; `errors` of those that did not; `late_s`: how much later than it was due each run
    was accepted; `usage` as the runs have reported it."""

    courses: Sequence[Course]
    errors: Sequence[str]
    late_s: Sequence[float]
    usage: Counter[str]


@dataclass(frozen=True, slots=True)
class Report:
    """`real` None: no run succeeded. `best`: the same runs under an ideal scheduler."""

    settings: Settings
    dues: Sequence[Due]
    outcome: Outcome
    real: Measures | None
    best: Measures


def report(settings: Settings, dues: Sequence[Due], outcome: Outcome) -> Report:
    real = measure(outcome.courses, settings.slots) if outcome.courses else None
    return Report(settings, dues, outcome, real, measure(ideal(dues, settings.slots), settings.slots))


def offered_percent(dues: Sequence[Due], slots: int) -> float | None:
    """How much of the slots the arrivals would keep busy on average; None: all arrive at once."""
    span = dues[-1].at_s - dues[0].at_s
    return 100 * sum(due.length_s for due in dues) / slots / span if span > 0 else None


def flat(told: Report) -> dict[str, float | int | str | None]:
    """Name → figure. Seconds are the replay's own: times `speed` they are the trace's. Without any run that succeeded
    only the counts are there."""
    settings, outcome = told.settings, told.outcome
    figures: dict[str, float | int | str | None] = {
        "trace": settings.trace,
        "speed": settings.speed,
        "limit": settings.slots,
        "offered_pct": offered_percent(told.dues, settings.slots),
        "runs": len(told.dues),
        "succeeded": len(outcome.courses),
        "failed": len(outcome.errors),
        "shortest_run_s": min(due.length_s for due in told.dues),
        "posted_late_max_s": max(outcome.late_s, default=0.0),
        **{name: outcome.usage[name] for name in sorted(outcome.usage)},
        **{f"ideal_{name}": value for name, value in _measured(told.best).items()},
    }
    if told.real:
        overhead = told.real.overhead_s
        figures |= _measured(told.real)
        figures |= {f"overhead_{name}": value for name, value in _spread(overhead).items()}
        figures["makespan_over_ideal"] = told.real.makespan_s / told.best.makespan_s
    return figures


def _measured(measures: Measures) -> dict[str, float | int | None]:
    figures: dict[str, float | int | None] = {f"wait_{name}": value for name, value in _spread(measures.wait_s).items()}
    figures |= {
        "makespan_s": measures.makespan_s,
        "used_pct": 100 * measures.used,
        "used_of_wanted_pct": 100 * measures.used_of_wanted,
        "jain_slowdown": measures.jain,
        "lead_max_slots": measures.lead_slots,
    }
    for tenant, own in measures.tenants.items():
        figures |= {
            f"tenant/{tenant}/runs": own.runs,
            f"tenant/{tenant}/wait_p50_s": own.wait_p50_s,
            f"tenant/{tenant}/slowdown_mean": own.slowdown_mean,
        }
    return figures


def _spread(values: Spread) -> dict[str, float]:
    return {"p50_s": values.p50, "p90_s": values.p90, "max_s": values.most}


def remarks(told: Report) -> list[str]:
    """What a reader of the figures must know besides."""
    said = [f"a run failed: {error}" for error in told.outcome.errors[:ERRORS_SHOWN_MAX]]
    if len(told.outcome.errors) > ERRORS_SHOWN_MAX:
        said.append(f"{counted(len(told.outcome.errors) - ERRORS_SHOWN_MAX, 'more run')} failed")
    said += _about_speed(told)
    if len({due.run.priority for due in told.dues}) > 1:
        said.append(
            "Waiting counts by the real clock, 15 minutes for a priority, whatever the speed: here priorities hardly age."
        )
    missing = _missing_usage(told)
    if missing:
        said.append(f"The runs have reported less than the trace says: {missing}.")
    return said


def _about_speed(told: Report) -> list[str]:
    lengths = [due.length_s for due in told.dues]
    shortest, usual = min(lengths), statistics.median(lengths)
    said = []
    if told.real and told.real.overhead_s.p50 > OVERHEAD_SMALL * shortest:
        overhead = told.real.overhead_s.p50
        much = overhead > OVERHEAD_LARGE * usual
        meaning = (
            "the figures tell of Penstock more than of the workload" if much else "that shows in waits and slowdowns"
        )
        said.append(
            f"At this speed the shortest run lasts {in_words(shortest)} and half of them {in_words(usual)} at most; Penstock's "
            f"own work adds {in_words(overhead)} to half of the runs, and {meaning}. A lower --speed makes it smaller."
        )
    late = max(told.outcome.late_s, default=0.0)
    if late > LATE_SMALL * usual:
        said.append(
            f"At this speed projects arrive faster than they could be posted: one was accepted {in_words(late)} late, "
            f"which is part of its wait."
        )
    return said


def _missing_usage(told: Report) -> str:
    expected: Counter[str] = Counter()
    for due in told.dues:
        expected.update(due.run.usage)
    return ", ".join(
        f"{told.outcome.usage[name]:,} of {amount:,} {name}"
        for name, amount in sorted(expected.items())
        if told.outcome.usage[name] < amount
    )


def in_words(seconds: float) -> str:
    """3 ms, 1.42 s, 3 min 09 s, 2 h 05 min, 4 d 03 h: as many digits as mean something."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    for large, small, most, names in ((60, 1, 3600, ("min", "s")), (3600, 60, 86_400, ("h", "min"))):
        if whole < most:
            return f"{whole // large} {names[0]} {whole % large // small:02d} {names[1]}"
    return f"{whole // 86_400} d {whole % 86_400 // 3600:02d} h"
