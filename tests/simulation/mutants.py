"""`python -m tests.simulation.mutants`: is each named bug found by the simulation? The last line counts them."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tests.simulation.mutations import MUTATIONS
from tests.simulation.patches import Mutation, Patches
from tests.simulation.plan import plan_of
from tests.simulation.swarm import quiet
from tests.simulation.world import simulate

from penstock_backbone.words import counted

SEEDS_MAX = 500
SOUND_SEEDS = 10
"""Played without any bug first: where the code itself fails, every mutant would seem to be caught."""
VIOLATION_CHARS_MAX = 110


@dataclass(frozen=True, slots=True)
class Verdict:
    """`violation` None: `seeds` seeds have not shown it."""

    name: str
    seeds: int
    violation: str | None
    redundant: str


def hunt(mutation: Mutation, seeds: Sequence[int]) -> Verdict:
    patches = Patches()
    mutation.patch(patches)
    try:
        for tried, seed in enumerate(seeds, start=1):
            violation = simulate(plan_of(seed)).violation
            if violation is not None:
                return Verdict(mutation.name, tried, violation, mutation.redundant)
    finally:
        patches.undo()
    return Verdict(mutation.name, len(seeds), None, mutation.redundant)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX, help="for each mutant at most")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes side by side")
    parser.add_argument("--only", default="", help="mutants whose name holds this text")
    parsed = parser.parse_args(arguments)
    chosen = [number for number, mutation in enumerate(MUTATIONS) if parsed.only in mutation.name]
    seeds = range(parsed.first, parsed.first + parsed.seeds)
    broken = next((seed for seed in seeds[:SOUND_SEEDS] if simulate(plan_of(seed)).violation is not None), None)
    if broken is not None:
        sys.stdout.write(
            f"The code itself breaks seed {broken}: mend it first (python -m tests.simulation --seed {broken})\n"
        )
        return 1
    caught, survived = 0, 0
    context = multiprocessing.get_context("fork")
    with context.Pool(max(1, parsed.jobs), initializer=quiet, maxtasksperchild=2) as pool:
        for verdict in pool.imap(_Hunt(seeds), chosen, chunksize=1):
            caught += verdict.violation is not None
            survived += verdict.violation is None
            sys.stdout.write(_line(verdict) + "\n")
            sys.stdout.flush()
    sys.stdout.write(f"{caught} caught, {survived} survived\n")
    return 0


@dataclass(frozen=True, slots=True)
class _Hunt:
    seeds: Sequence[int]

    def __call__(self, number: int) -> Verdict:
        return hunt(MUTATIONS[number], self.seeds)


def _line(verdict: Verdict) -> str:
    if verdict.violation is not None:
        return f"caught    {verdict.name}: seed {verdict.seeds}, {verdict.violation[:VIOLATION_CHARS_MAX]}"
    reason = verdict.redundant or "NO REASON IS KNOWN: the simulation is blind here"
    return f"SURVIVED  {verdict.name}: {counted(verdict.seeds, 'seed')}; {reason}"


if __name__ == "__main__":
    sys.exit(main())
