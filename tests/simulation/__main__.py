"""`python -m tests.simulation`: one seed, many seeds, or a death after each single write; the last line sums it up."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence

from tests.simulation.exhaustive import PLAN, RESHARDING, crash_after_each_write
from tests.simulation.plan import plan_of, shortened
from tests.simulation.shrink import shrunk
from tests.simulation.swarm import quiet, simulate_all, total
from tests.simulation.world import Result, simulate

from penstock_backbone.words import counted

TRACE_LINES_MAX = 25
FAILURES_SHOWN_MAX = 10


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seed", type=int, help="replay one seed")
    what.add_argument("--seeds", type=int, help="run so many seeds")
    what.add_argument(
        "--exhaustive", action="store_true", help="die after each single write of a whole run, one by one"
    )
    parser.add_argument("--first", type=int, default=0, help="the first of many seeds")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes side by side")
    parser.add_argument("--trace", action="store_true", help="print every port call of the seed")
    parser.add_argument("--shrink", action="store_true", help="find the few faults that a failing seed needs")
    parsed = parser.parse_args(arguments)
    quiet()
    if parsed.seed is not None:
        return _one(parsed.seed, trace=parsed.trace, shrink=parsed.shrink)
    if parsed.exhaustive:
        results: Iterator[Result] = (result for plan in (PLAN, RESHARDING) for result in crash_after_each_write(plan))
    else:
        results = simulate_all(range(parsed.first, parsed.first + parsed.seeds), max(1, parsed.jobs))
    totals, seconds = total(results, _report)
    if not parsed.exhaustive:
        for what_not in totals.unreached():
            _say(f"not reached: {what_not}")
        _say(totals.catalogue())
    if len(totals.failed) > FAILURES_SHOWN_MAX:
        _say(f"failing seeds: {[result.plan.seed for result in totals.failed]}")
    _say(totals.summary(seconds))
    return 1 if totals.failed else 0


def _one(seed: int, *, trace: bool, shrink: bool) -> int:
    plan = plan_of(seed)
    result = simulate(plan, verbose=trace)
    if result.violation is not None:
        _report(result)
        if shrink:
            _shrink(result)
    counts = ", ".join(f"{count} × {what}" for what, count in sorted(result.sightings.counts.items()))
    _say(f"met: {counts}")
    _say(
        f"1 seed, {counted(int(result.violation is not None), 'violation')}, {result.virtual_seconds:.0f} virtual seconds, "
        f"{counted(result.runs, 'run')}, {counted(result.grants, 'grant')}, {counted(result.steps, 'step')}, "
        f"fingerprint {result.fingerprint}"
    )
    return int(result.violation is not None)


def _shrink(result: Result) -> None:
    plan = result.plan
    rule = (result.violation or "").partition(":")[0]

    def fails(faults: Sequence[object]) -> bool:
        again = simulate(shortened(plan, faults))  # type: ignore[arg-type]  # it is a part of the plan's own list
        return (again.violation or "").partition(":")[0] == rule

    faults = shrunk(plan.faults, fails)
    _say(f"{len(faults)} of {len(plan.faults)} faults are enough to break {rule}:")
    for fault in faults:
        _say(f"  {fault}")
    again = simulate(shortened(plan, faults))
    _say("\n".join(again.lines[-TRACE_LINES_MAX:]))
    _say(str(again.violation))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _report(result: Result) -> None:
    if result.violation is None:
        return
    plan = result.plan
    _say("\n".join(result.lines[-TRACE_LINES_MAX:]))
    _say(f"seed {plan.seed} breaks {result.violation}")
    if plan.crash_after:
        _say(f"with a death after write {plan.crash_after}: python -m tests.simulation --exhaustive")
    else:
        _say(f"replay: python -m tests.simulation --seed {plan.seed} --trace   shorten: … --seed {plan.seed} --shrink")


if __name__ == "__main__":
    sys.exit(main())
