"""Turns a workflow into a plan: what is wrong with it, what may start when, and what follows a failed attempt."""

from __future__ import annotations

import inspect
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from pydantic import BaseModel

from penstock_runner.authoring import STAGE_NAME_PATTERN, STAGES_MAX, Stage, Workflow

VERSION_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,39}"
ATTEMPTS_MAX = 20
TIMEOUT_SECONDS_MAX = 24 * 3600.0
BACKOFF_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A valid workflow with its order worked out. `needs` is what was written, or the stage before; `before` is
    everything that `needs` leads to; `dependents` is `needs` read backwards, in the workflow's order.
    """

    workflow: Workflow
    stages: Mapping[str, Stage]
    needs: Mapping[str, tuple[str, ...]]
    before: Mapping[str, frozenset[str]]
    dependents: Mapping[str, tuple[Stage, ...]]

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


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a workflow cannot be served, in one plain sentence."""

    sentence: str


def make_plan(workflow: Workflow) -> Plan | Problem:
    """The same answer every time; anything an author can get wrong is a Problem."""
    for sentence in _problems(workflow):
        return Problem(sentence)
    needs = _needs(workflow)
    before = _before(needs)
    if isinstance(before, Problem):
        return Problem(f"workflow {workflow.name}: {before.sentence}")
    return Plan(
        workflow=workflow,
        stages={stage.name: stage for stage in workflow.stages},
        needs=needs,
        before=before,
        dependents={
            name: tuple(stage for stage in workflow.stages if name in needs[stage.name])
            for name in needs
        },
    )  # fmt: skip


def _problems(workflow: Workflow) -> Iterator[str]:
    if not isinstance(workflow, Workflow):
        yield f"{workflow!r:.100} is not a Workflow"
        return
    if not _matches(STAGE_NAME_PATTERN, workflow.name):
        yield f"workflow {workflow.name!r:.60}: its name must match {STAGE_NAME_PATTERN}"
    here = f"workflow {workflow.name}"
    if not _matches(VERSION_PATTERN, workflow.version):
        yield f"{here}: its version {workflow.version!r:.60} must match {VERSION_PATTERN}"
    if not 1 <= len(workflow.stages) <= STAGES_MAX:
        yield f"{here}: it has {len(workflow.stages)} stages, and 1 to {STAGES_MAX} are possible"
    yield from (f"{here}, {sentence}" for sentence in _naming_problems(workflow))
    names = {stage.name for stage in workflow.stages}
    for stage in workflow.stages:
        yield from (f"{here}, stage {stage.name}: {sentence}" for sentence in _stage_problems(stage, names))


def _naming_problems(workflow: Workflow) -> Iterator[str]:
    seen = set()
    for stage in workflow.stages:
        if not isinstance(stage, Stage):
            yield f"{stage!r:.100} is not a Stage"
        elif not _matches(STAGE_NAME_PATTERN, stage.name):
            yield f"stage {stage.name!r:.60}: its name must match {STAGE_NAME_PATTERN}"
        elif stage.name in seen:
            yield f"stage {stage.name}: another stage has the same name"
        else:
            seen.add(stage.name)


def _stage_problems(stage: Stage, names: Container[str]) -> Iterator[str]:
    if not _is_async(stage.run):
        yield "what it runs must be an async function that takes the context"
    if not (isinstance(stage.output, type) and issubclass(stage.output, BaseModel)):
        yield "its output must be a pydantic model class"
    if isinstance(stage.needs, str):
        yield f'needs=("{stage.needs}",) was probably meant: needs is a tuple of names'
    for need in stage.needs or ():
        if need == stage.name:
            yield "it needs itself"
        elif need not in names:
            yield f"it needs {need!r:.60}, and no stage has that name"
    if not 1 <= stage.attempts_max <= ATTEMPTS_MAX:
        yield f"attempts_max is {stage.attempts_max}, and 1 to {ATTEMPTS_MAX} are possible"
    if not 0 <= stage.backoff_seconds <= BACKOFF_SECONDS_MAX:
        yield f"backoff_seconds is {stage.backoff_seconds}, and 0 to {BACKOFF_SECONDS_MAX:.0f} are possible"
    if not 0 < stage.timeout_seconds <= TIMEOUT_SECONDS_MAX:
        yield f"timeout_seconds is {stage.timeout_seconds}, and up to {TIMEOUT_SECONDS_MAX:.0f} are possible"


def _matches(pattern: str, text: object) -> bool:
    return isinstance(text, str) and re.fullmatch(pattern, text) is not None


def _is_async(function: object) -> bool:
    """An object with an async __call__ is as good as a function."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004  # the method itself is looked at, not whether there is one


def _needs(workflow: Workflow) -> dict[str, tuple[str, ...]]:
    previous: tuple[str, ...] = ()
    needs = {}
    for stage in workflow.stages:
        needs[stage.name] = previous if stage.needs is None else tuple(dict.fromkeys(stage.needs))
        previous = (stage.name,)
    return needs


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


def after_failure(stage: Stage, *, attempt: int, final: bool, jitter: float) -> AfterFailure:
    """`attempt` (from 1) has failed; `final`: its author says that trying again cannot help."""
    if final or attempt >= stage.attempts_max:
        return GiveUp()
    return TryAgain(backoff_seconds(stage.backoff_seconds, failures=attempt, jitter=jitter))


def backoff_seconds(first: float, *, failures: int, jitter: float) -> float:
    """Doubles with each failure (from 1) up to BACKOFF_SECONDS_MAX; `jitter` in [0, 1) takes up to half of it away."""
    full = min(BACKOFF_SECONDS_MAX, first * 2.0 ** min(failures - 1, 40))
    return full * (1 - jitter / 2)
