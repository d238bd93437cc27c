"""`python -m tests.simulation`: one seed, many seeds, or a death after each single write; the last line sums it up."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence

from tests.simulation.exhaustive import PLANS, crash_after, crash_after_writes
from tests.simulation.plan import Plan, plan_of, shortened
from tests.simulation.replay import command_of, name_of
from tests.simulation.shrink import shrunk
from tests.simulation.swarm import quiet, simulate_seeds, total
from tests.simulation.world import Result, simulate

from penstock_backbone.words import counted

TRACE_LINES_MAX = 25
TRACES_SHOWN_MAX = 3
"""Of the failures; the others are named, with the rule that they break."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seed", type=int, help="replay one seed")
    what.add_argument("--seeds", type=int, help="run so many seeds")
    what.add_argument(
        "--exhaustive", action="store_true", help="die after each single write of whole worlds, one by one"
    )
    what.add_argument("--crash-after", type=int, metavar="WRITE", help="replay one of these deaths")
    parser.add_argument("--plan", choices=PLANS, help="the world of --exhaustive (else all) or --crash-after")
    parser.add_argument("--partly", action="store_true", help="of --crash-after: only a part of that batch is written")
    parser.add_argument("--first", type=int, default=0, help="the first of many seeds")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes side by side")
    parser.add_argument("--trace", action="store_true", help="print every port call of the one world")
    parser.add_argument("--shrink", action="store_true", help="find the few faults that the one world needs to fail")
    parsed = parser.parse_args(arguments)
    quiet()
    if parsed.seed is not None:
        return _one(plan_of(parsed.seed), trace=parsed.trace, shrink=parsed.shrink)
    if parsed.crash_after is not None:
        plan = crash_after(PLANS[parsed.plan or next(iter(PLANS))], parsed.crash_after, partly=parsed.partly)
        return _one(plan, trace=parsed.trace, shrink=parsed.shrink)
    jobs = max(1, parsed.jobs)
    if parsed.exhaustive:
        return _deaths([parsed.plan] if parsed.plan else list(PLANS), jobs)
    return _seeds(range(parsed.first, parsed.first + parsed.seeds), jobs)


def _seeds(seeds: Sequence[int], jobs: int) -> int:
    report = Report()
    totals, seconds = total(simulate_seeds(seeds, jobs), report.hear)
    for what_not in totals.unreached():
        _say(f"not reached: {what_not}")
    _say(totals.catalogue())
    if blindness := totals.blindness():
        _say(blindness)
    _say(totals.summary(seconds))
    return 1 if totals.failed or blindness else 0


def _deaths(names: Sequence[str], jobs: int) -> int:
    def results() -> Iterator[Result]:
        for name in names:
            yield from crash_after_writes(PLANS[name], jobs)

    totals, seconds = total(results(), Report().hear)
    _say(totals.summary(seconds, "world"))
    return 1 if totals.failed else 0


def _one(plan: Plan, *, trace: bool, shrink: bool) -> int:
    result = simulate(plan, verbose=trace)
    if result.violation is not None:
        Report().hear(result)
        if shrink:
            _shrink(result)
    counts = ", ".join(f"{count} × {what}" for what, count in sorted(result.sightings.counts.items()))
    _say(f"met: {counts}")
    _say(
        f"1 {'world' if plan.crash_after else 'seed'}, {counted(int(result.violation is not None), 'violation')}, "
        f"{result.virtual_seconds:.0f} virtual seconds, {counted(result.runs, 'run')}, {counted(result.grants, 'grant')}, "
        f"{counted(result.steps, 'step')}, fingerprint {result.fingerprint}"
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


class Report:
    """Of each failure as it comes: the first few whole."""

    def __init__(self) -> None:
        self._failures = 0

    def hear(self, result: Result) -> None:
        if result.violation is None:
            return
        self._failures += 1
        if self._failures <= TRACES_SHOWN_MAX:
            _say("\n".join(result.lines[-TRACE_LINES_MAX:]))
        _say(f"{name_of(result.plan)} breaks {result.violation}")
        replay = f"replay: {command_of(result.plan, '--trace')}"
        _say(f"{replay}   shorten: {command_of(result.plan, '--shrink')}" if result.plan.faults else replay)


if __name__ == "__main__":
    sys.exit(main())
