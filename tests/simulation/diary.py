"""What the stages' code really did, told by itself: what the tables cannot show (I4, I5, I11, I16)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.simulation.machine import Process
from tests.simulation.sightings import Sightings
from tests.simulation.violations import Violation, demand
from tests.simulation.workload import HOOKED, TIMEOUT_SECONDS, at_once_of, is_hasty

from penstock_backbone.records.runs import FAILED, QUEUED, RESTING, RUNNING, TERMINAL
from penstock_backbone.vocabulary import Item
from penstock_runner.authoring import RunFailure
from penstock_runner.handlers.failure_hook import HOOK_ATTEMPTS_MAX

OVERTIME_SECONDS_MAX = 6.0
"""Of true time: for the watchdog's next look, for a stage that resists or a worker that is killed, on a slow clock."""
WAKING_SECONDS = 8.0
"""A runner that was frozen takes the time for its stages' patience."""


@dataclass(slots=True)
class _Hook:
    """`failures`: of one runner's calls in a row."""

    begun_by: tuple[int, int] = (0, 0)
    failures: int = 0
    returned: bool = False


class Diary:
    """`runs` are the committed ones."""

    def __init__(self, runs: dict[str, Item], sightings: Sightings) -> None:
        self._runs = runs
        self._sightings = sightings
        self._working: Counter[tuple[int, str]] = Counter()
        self._side_by_side: Counter[tuple[int, str, int, str]] = Counter()
        self._hooks: dict[str, _Hook] = {}

    def note(self, what: str) -> None:
        self._sightings.note(what)

    def is_in_a_stage(self, process: Process) -> bool:
        return any(count and life == process.life for (life, _), count in self._working.items())

    # --- stages -----------------------------------------------------------------------------------

    @contextmanager
    def attempt(self, process: Process, key: str) -> Iterator[None]:
        """`key` is the attempt's idempotency key. Inside, the stage's code runs."""
        run_id, stage, *index = key.split(":")
        run = self._runs[run_id]
        place = (process.life, run_id, run["fence"], stage)
        if run["state"] == RUNNING and run.get("session") in process.sessions:
            self._demand_due(process, run, stage, *index)
            self._demand(
                process,
                self._side_by_side[place] < at_once_of(run["workflow"], stage),
                "I16",
                f"{self._side_by_side[place]} of {stage} of {run_id} run already",
            )
        began, by_its_clock = process.awake_seconds(), process.clock.monotonic()
        self._side_by_side[place] += 1
        self._working[process.life, run_id] += 1
        try:
            yield
        finally:
            self._side_by_side[place] -= 1
            self._working[process.life, run_id] -= 1
            seconds = process.awake_seconds() - began
            limited = is_hasty(run["workflow"], stage) and not process.gone
            if limited and process.clock.monotonic() - by_its_clock >= TIMEOUT_SECONDS:
                self.note("an attempt took far too long (66)")
            self._demand(
                process,
                not limited or seconds <= TIMEOUT_SECONDS + OVERTIME_SECONDS_MAX,
                "I11",
                f"{key} went on for {seconds:.1f} s",
            )

    def _demand_due(self, process: Process, run: Item, stage: str, *index: str) -> None:
        """Whoever owns a run begins nothing of it that is finished, and nothing once its hook is told."""
        name = ".".join((stage, *index))
        finished = name in run["results"] or stage in run["results"]
        self._demand(process, not finished, "I4", f"{name} of {run['pk']} is begun, and it is finished")
        hook = self._hooks.get(run["pk"])
        failing = hook is not None and hook.begun_by == (process.life, run["fence"])
        self._demand(process, not failing, "I4", f"{name} of {run['pk']} is begun, and its hook was told of a failure")
        doomed = run["workflow"] in HOOKED and _had_failed(run)
        self._demand(
            process, not doomed, "I4", f"{name} of {run['pk']} is begun, and the run had failed before its claim"
        )

    @staticmethod
    def _demand(process: Process, holds: object, rule: str, sentence: str) -> None:
        """What is raised inside of a stage would only be that stage's failure."""
        if not holds and process.loop.failure is None:
            process.loop.failure = Violation(rule, sentence)

    # --- hooks ------------------------------------------------------------------------------------

    def hook_begins(self, process: Process, run_id: str, failure: RunFailure) -> None:
        run = self._runs[run_id]
        known = [
            fact["d"]["stage"] for fact in run["facts"].values() if fact["t"] == "StageFailed" and fact["d"]["final"]
        ]
        self._demand(
            process,
            failure.stage in known
            or (failure.stage is None and ("given_up" in run or failure.error == "StoryTooLong")),
            "I4",
            f"the hook of {run_id} is told of {failure.stage}, and nobody else is",
        )
        working = self._working[process.life, run_id]
        self._demand(
            process,
            not working or _has_just_woken(process, process.loop.now),
            "I4",
            f"the hook of {run_id} is told while {working} of its stages still run",
        )
        hook = self._hooks.setdefault(run_id, _Hook())
        caller = (process.life, run["fence"])
        if hook.begun_by != caller:
            self.note("a hook was told" if hook.begun_by == (0, 0) else "a failing run went on with its hook (51, 66)")
            hook.begun_by, hook.failures = caller, 0

    def hook_failed(self, run_id: str) -> None:
        self._hooks[run_id].failures += 1

    def hook_returned(self, run_id: str) -> None:
        self._hooks[run_id].returned = True

    # --- ends of runs -----------------------------------------------------------------------------

    def ended(self, now: float, run: Item, writer: Process) -> None:
        """A run that a runner ends, or hands back, has let go of its stages; one whose stage failed, or whose story is full,
        has told its hook."""
        told = run["facts"][str(run["seq"])]["d"]
        hookable = "stage" in told or "given_up" in run or told.get("error") == "StoryTooLong"
        if run["state"] == FAILED and hookable and run["workflow"] in HOOKED:
            hook = self._hooks.get(run["pk"])
            is_told = hook is not None and (hook.returned or hook.failures >= HOOK_ATTEMPTS_MAX)
            demand(is_told, "I11", f"{run['pk']} has failed, and its hook was not told")
        if run["state"] in TERMINAL | RESTING | {QUEUED} and not _has_just_woken(writer, now):
            working = self._working[writer.life, run["pk"]]
            demand(not working, "I5", f"{run['pk']} is {run['state']} while {working} of its stages still run")


def _has_just_woken(process: Process, now: float) -> bool:
    return 0 <= now - process.thawed_at < WAKING_SECONDS


def _had_failed(run: Item) -> bool:
    """For good, before its last claim, and nobody has asked for another try since."""
    claimed = False
    for number in range(run["seq"], 1, -1):
        fact = run["facts"][str(number)]
        if fact["t"] in ("RunQueued", "RunRetried"):
            return False
        if claimed and fact["t"] == "StageFailed" and fact["d"]["final"]:
            return True
        claimed = claimed or fact["t"] == "RunStarted"
    return False
