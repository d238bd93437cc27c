"""Runs many seeds on several processes and adds up what they met."""

from __future__ import annotations

import gc
import multiprocessing
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from tests.simulation.catalogue import REACHABLE, reached
from tests.simulation.plan import KINDS, OF_SHARDS, RELEASED, plan_of
from tests.simulation.sightings import SITUATIONS, Sightings
from tests.simulation.world import Result, simulate

from penstock_backbone.words import counted

Which = TypeVar("Which")
"""A seed, or whatever else names a world."""
CHUNK_SEEDS = 4
SURE_SEEDS = 1000
"""So many meet each fault and each situation: the rarest are met by one seed in a hundred."""
CHILD_SEEDS_MAX = 100
"""After this a child process is replaced, with what it has left lying about: 3 MB a seed. To look for that would take a
fifteenth of the time."""


@dataclass(slots=True)
class Totals:
    seeds: int = 0
    virtual_seconds: float = 0.0
    steps: int = 0
    grants: int = 0
    runs: int = 0
    writes: int = 0
    sightings: Sightings = field(default_factory=Sightings)
    failed: list[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        self.seeds += 1
        self.virtual_seconds += result.virtual_seconds
        self.steps += result.steps
        self.grants += result.grants
        self.runs += result.runs
        self.writes += result.writes
        self.sightings.counts.update(result.sightings.counts)
        if result.violation is not None:
            self.failed.append(result)

    def unreached(self) -> list[str]:
        """Kinds of faults and situations that no seed of these has met, and faults of the catalogue."""
        missing = [what for what in (*KINDS, *OF_SHARDS, RELEASED, *SITUATIONS) if not self.sightings.counts[what]]
        numbers = {known.number for known in reached(self.sightings.counts)}
        return missing + [f"{known.number}, {known.fault}" for known in REACHABLE if known.number not in numbers]

    def blindness(self) -> str:
        """Why so many seeds prove less than they should; "": they prove it, or are too few to meet everything."""
        missing = len(self.unreached())
        if not missing or self.seeds < SURE_SEEDS:
            return ""
        return (
            f"{counted(self.seeds, 'seed')} meet everything that the simulation knows, and these have not met "
            f"{counted(missing, 'thing')} of it, named above: this proves nothing about them, and counts as a failure."
        )

    def catalogue(self) -> str:
        return (
            f"{len(reached(self.sightings.counts))} of the catalogue's {len(REACHABLE)} faults that can be reached were "
            f"reached, in {self.virtual_seconds / 3600:.2f} virtual hours and {counted(self.grants, 'grant')}"
        )

    def summary(self, seconds: float, worlds: str = "seed") -> str:
        faults = sum(self.sightings.counts[kind] for kind in KINDS)
        kinds = sum(1 for kind in KINDS if self.sightings.counts[kind])
        return (
            f"{counted(self.seeds, worlds)}, {counted(len(self.failed), 'violation')}, "
            f"{self.virtual_seconds / 3600:.2f} virtual hours, {counted(self.runs, 'run')}, {counted(self.grants, 'grant')}, "
            f"{counted(self.writes, 'write')}, {counted(self.steps, 'step')}, "
            f"{counted(faults, 'fault')} of {counted(kinds, 'kind')}, {self.seeds / seconds:.1f} {worlds}s/s, "
            f"{self.virtual_seconds / seconds:.0f}x real time"
        )


def simulate_seed(seed: int) -> Result:
    return simulate(plan_of(seed))


def simulate_seeds(seeds: Iterable[int], jobs: int) -> Iterator[Result]:
    return simulate_all(seeds, jobs, simulate_seed)


def simulate_all(worlds: Iterable[Which], jobs: int, work: Callable[[Which], Result]) -> Iterator[Result]:
    """In their order."""
    if jobs == 1:
        yield from map(work, worlds)
        return
    context = multiprocessing.get_context("fork")
    with context.Pool(jobs, initializer=_begin, maxtasksperchild=CHILD_SEEDS_MAX // CHUNK_SEEDS) as pool:
        yield from pool.imap(work, worlds, chunksize=CHUNK_SEEDS)


def _begin() -> None:
    quiet()
    gc.disable()


def quiet() -> None:
    """What a killed process had begun is never awaited, and that is as it should be."""
    warnings.filterwarnings("ignore", message="coroutine .* was never awaited", category=RuntimeWarning)


def total(results: Iterable[Result], on_result: Callable[[Result], None]) -> tuple[Totals, float]:
    """The sums, and the real seconds that it took."""
    began = time.perf_counter()
    totals = Totals()
    for result in results:
        totals.add(result)
        on_result(result)
    return totals, time.perf_counter() - began
