"""`python -m tests.simulation.mutants`: is each named bug found by the simulation? The last line counts them.

Fails when one is not and nobody knows why, when there is none to look for, and when the code itself breaks a rule.
"""

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
    """`seed` has shown the bug, by `violation`; None: none of the `tried` seeds has. `broken`: those of them that show it
    without the bug as well, and therefore nothing."""

    name: str
    tried: int
    seed: int | None
    violation: str | None
    redundant: str
    broken: tuple[int, ...] = ()

    @property
    def is_unexplained(self) -> bool:
        return self.seed is None and not self.redundant


def hunt(mutation: Mutation, seeds: Sequence[int]) -> Verdict:
    broken: list[int] = []
    for tried, seed in enumerate(seeds, start=1):
        violation = _with(mutation, seed)
        if violation is None:
            continue
        if simulate(plan_of(seed)).violation is None:
            return Verdict(mutation.name, tried, seed, violation, mutation.redundant, tuple(broken))
        broken.append(seed)
    return Verdict(mutation.name, len(seeds), None, None, mutation.redundant, tuple(broken))


def _with(mutation: Mutation, seed: int) -> str | None:
    patches = Patches()
    mutation.patch(patches)
    try:
        return simulate(plan_of(seed)).violation
    finally:
        patches.undo()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX, help="for each mutant at most")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes side by side")
    parser.add_argument("--only", default="", help="mutants whose name holds this text")
    parsed = parser.parse_args(arguments)
    chosen = [number for number, mutation in enumerate(MUTATIONS) if parsed.only in mutation.name]
    if not chosen:
        sys.stdout.write(f"No named bug has {parsed.only!r} in its name.\n")
        return 1
    seeds = range(parsed.first, parsed.first + parsed.seeds)
    broken = next((seed for seed in seeds[:SOUND_SEEDS] if simulate(plan_of(seed)).violation is not None), None)
    if broken is not None:
        sys.stdout.write(_mend(broken))
        return 1
    verdicts: list[Verdict] = []
    context = multiprocessing.get_context("fork")
    with context.Pool(max(1, parsed.jobs), initializer=quiet, maxtasksperchild=2) as pool:
        for verdict in pool.imap(_Hunt(seeds), chosen, chunksize=1):
            verdicts.append(verdict)
            sys.stdout.write(_line(verdict) + "\n")
            sys.stdout.flush()
    broken_seeds = {seed for verdict in verdicts for seed in verdict.broken}
    sys.stdout.writelines(_mend(seed) for seed in sorted(broken_seeds))
    caught = sum(verdict.seed is not None for verdict in verdicts)
    sys.stdout.write(f"{caught} caught, {len(verdicts) - caught} survived\n")
    return 1 if broken_seeds or any(verdict.is_unexplained for verdict in verdicts) else 0


@dataclass(frozen=True, slots=True)
class _Hunt:
    seeds: Sequence[int]

    def __call__(self, number: int) -> Verdict:
        return hunt(MUTATIONS[number], self.seeds)


def _line(verdict: Verdict) -> str:
    if verdict.violation is not None:
        said = f"caught    {verdict.name}: seed {verdict.seed}, {verdict.violation[:VIOLATION_CHARS_MAX]}"
        return f"{said} (so it is NOT TRUE that {verdict.redundant})" if verdict.redundant else said
    reason = verdict.redundant or "NO REASON IS KNOWN: the simulation is blind here"
    return f"SURVIVED  {verdict.name}: {counted(verdict.tried, 'seed')}; {reason}"


def _mend(seed: int) -> str:
    return f"The code itself breaks seed {seed}: mend it first (python -m tests.simulation --seed {seed})\n"


if __name__ == "__main__":
    sys.exit(main())
