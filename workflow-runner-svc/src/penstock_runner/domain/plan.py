"""Turns a workflow into a plan: what is wrong with it, what may start when, and what follows a failed attempt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from penstock_runner.authoring import Stage, Workflow
from penstock_runner.domain.mistakes import BACKOFF_SECONDS_MAX, Problem, is_async, mistakes, of_each

DIGEST_CHARS = 16


@dataclass(frozen=True, slots=True)
class Plan:
    """A valid workflow with its order worked out. `needs` is what was written, or the stage before; `before` is
    everything that `needs` leads to; `dependents` is `needs` read backwards, in the workflow's order. The stages in
    `blocking` are plain functions, for a worker process. `digest` is the same for plans between which a run can change
    without harm: what a stage does, how often and how long, may change under one version; names and order may not.
    """

    workflow: Workflow
    stages: Mapping[str, Stage]
    needs: Mapping[str, tuple[str, ...]]
    before: Mapping[str, frozenset[str]]
    dependents: Mapping[str, tuple[Stage, ...]]
    blocking: frozenset[str]
    digest: str

    def steps(self) -> list[list[Stage]]:
        """The stages by the earliest moment at which they can start: those of one step may run side by side."""
        depth: dict[str, int] = {}
        for name in sorted(self.stages, key=lambda name: len(self.before[name])):
            depth[name] = max((depth[need] + 1 for need in self.needs[name]), default=0)
        count = max(depth.values()) + 1
        return [[stage for name, stage in self.stages.items() if depth[name] == number] for number in range(count)]

    def resources(self) -> tuple[str, ...]:
        """What any stage uses: a run is counted at each of them from its admission to its end."""
        return tuple(sorted({name for stage in self.stages.values() for name in stage.resources}))

    def finished(self, results: Iterable[str]) -> set[str]:
        """The stages that are finished, from the names of the results: items of a list have names of their own."""
        return {name for name in results if name in self.stages}

    def following(self, stage: str, results: Iterable[str]) -> list[str]:
        """Those of the results that are this stage's, or of stages that need it, directly or through others."""
        return [
            name for name in results
            if (owner := name.partition(".")[0]) == stage or stage in self.before.get(owner, frozenset())
        ]  # fmt: skip

    def startable(self, finished: Container[str]) -> tuple[Stage, ...]:
        """For a run that begins or resumes: the unfinished stages whose needs are finished."""
        return tuple(
            stage
            for name, stage in self.stages.items()
            if name not in finished and all(need in finished for need in self.needs[name])
        )

    def startable_after(self, stage: str, finished: Container[str]) -> tuple[Stage, ...]:
        """The stages for which `stage`, the last to join `finished`, was all that was missing."""
        return tuple(
            dependent
            for dependent in self.dependents[stage]
            if all(need in finished for need in self.needs[dependent.name])
        )


def make_plan(workflow: Workflow) -> Plan | Problem:
    """The same answer every time; anything an author can get wrong is a Problem."""
    for problem in mistakes(workflow):
        return problem
    needs = _needs(workflow)
    before = _before(needs)
    if isinstance(before, Problem):
        return Problem(f"workflow {workflow.name}: {before.sentence}", workflow.where)
    stages = {stage.name: stage for stage in workflow.stages}
    for stage in workflow.stages:
        if stage.each is not None and (sentence := of_each(stage, stages, before[stage.name])):
            return Problem(f"workflow {workflow.name}, stage {stage.name}: {sentence}", stage.where)
    return Plan(
        workflow=workflow,
        stages=stages,
        needs=needs,
        before=before,
        dependents={
            name: tuple(stage for stage in workflow.stages if name in needs[stage.name])
            for name in needs
        },
        blocking=frozenset(stage.name for stage in workflow.stages if not is_async(stage.run)),
        digest=_digest(stages, needs),
    )  # fmt: skip


def _needs(workflow: Workflow) -> dict[str, tuple[str, ...]]:
    previous: tuple[str, ...] = ()
    needs = {}
    for stage in workflow.stages:
        needs[stage.name] = previous if stage.needs is None else tuple(dict.fromkeys(stage.needs))
        previous = (stage.name,)
    return needs


def _digest(stages: Mapping[str, Stage], needs: Mapping[str, tuple[str, ...]]) -> str:
    shape = [[name, sorted(needs[name]), stage.each] for name, stage in stages.items()]
    return hashlib.sha256(json.dumps(shape, separators=(",", ":")).encode()).hexdigest()[:DIGEST_CHARS]


def _before(needs: Mapping[str, tuple[str, ...]]) -> dict[str, frozenset[str]] | Problem:
    """Places the stages one after another, each once its needs are placed; what is left over goes in a circle."""
    before: dict[str, frozenset[str]] = {}
    while len(before) < len(needs):
        placeable = [name for name in needs if name not in before and all(need in before for need in needs[name])]
        if not placeable:
            left = [name for name in needs if name not in before]
            return Problem(f"the stages {', '.join(left)} wait for each other, so none of them could ever start")
        for name in placeable:
            before[name] = frozenset(needs[name]).union(*(before[need] for need in needs[name]))
    return before


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The next attempt begins after this back-off."""

    delay_seconds: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The stage has failed, and with it the run."""


AfterFailure: TypeAlias = TryAgain | GiveUp


def after_failure(stage: Stage, *, attempt: int, final: bool, chance: float) -> AfterFailure:
    """`attempt` (from 1) has failed; `final`: its author says that trying again cannot help. `chance` in [0, 1)."""
    if final or attempt >= stage.attempts_max:
        return GiveUp()
    return TryAgain(backoff_seconds(stage.backoff_seconds, failures=attempt, chance=chance, jitter=stage.jitter))


def backoff_seconds(first: float, *, failures: int, chance: float, jitter: float = 0.5) -> float:
    """Doubles with each failure (from 1) up to BACKOFF_SECONDS_MAX; `chance` in [0, 1) says how much of the part
    `jitter` is taken away."""
    full = min(BACKOFF_SECONDS_MAX, first * 2.0 ** min(failures - 1, 40))
    return full * (1 - chance * jitter)
