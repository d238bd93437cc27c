"""Cancels a project's run: at once where nobody executes it, otherwise by a wish that its owner obeys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from penstock_api.handlers.projects import Projects
from penstock_backbone.errors import Retryable
from penstock_backbone.ports import Clock, Tables
from penstock_backbone.records.projects import ProjectItem
from penstock_backbone.records.runs import (
    CANCELLED,
    QUEUED,
    RUNNING,
    RunItem,
    as_run,
    ask_to_cancel,
    cancel_unqueued,
    cancel_waiting,
    run_key,
)
from penstock_backbone.records.times import to_ms
from penstock_backbone.vocabulary import Write, Written

ATTEMPTS_MAX = 12
"""Each begins anew from what stands there: a run that moves on fast may win several of them."""
BACKOFF_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The run is over."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Whoever executes the run stops it, and nothing else can become of it."""


@dataclass(frozen=True, slots=True)
class AlreadyOver:
    """It had ended in this state before."""

    state: str


@dataclass(frozen=True, slots=True)
class NoSuchProject:
    """Of this tenant."""


Verdict: TypeAlias = Cancelled | Asked | AlreadyOver | NoSuchProject


class Cancellation:
    def __init__(self, tables: Tables, projects: Projects, clock: Clock) -> None:
        self._tables = tables
        self._projects = projects
        self._clock = clock

    async def cancel(self, tenant: str, project_id: str, reason: str) -> Verdict:
        """Repeating it is safe: what it finds done already it answers in the same way. Raises Retryable."""
        project = await self._projects.find(tenant, project_id)
        if project is None:
            return NoSuchProject()
        for attempt in range(1, ATTEMPTS_MAX + 1):
            found = await self._once(project, reason)
            if found is not None:
                return found
            await self._clock.sleep(BACKOFF_SECONDS * attempt)
        raise Retryable("the run changes too fast to be cancelled: try again")

    async def _once(self, project: ProjectItem, reason: str) -> Verdict | None:
        """None: somebody else was faster, or the outcome is not known; the next look tells."""
        try:
            (item,) = await self._tables.get([run_key(project["run_id"])])
            run = None if item is None else as_run(item)
            known = _known(run)
            if known is not None:
                return known
            (outcome,) = await self._tables.write([self._write(project, run, reason)])
        except Retryable:
            return None
        if not isinstance(outcome, Written):
            return None
        return Asked() if run is not None and run["state"] == RUNNING else Cancelled()

    def _write(self, project: ProjectItem, run: RunItem | None, reason: str) -> Write:
        at = to_ms(self._clock.now())
        if run is None:
            return cancel_unqueued(project, reason=reason, at=at)
        if run["state"] == QUEUED:
            return cancel_waiting(run, reason=reason, at=at)
        return ask_to_cancel(run, reason=reason, at=at)


def _known(run: RunItem | None) -> Verdict | None:
    """The answer, where nothing needs to be written."""
    if run is None or run["state"] == QUEUED:
        return None
    if run["state"] == CANCELLED:
        return Cancelled()
    if run["state"] == RUNNING:
        return Asked() if "cancel" in run else None
    return AlreadyOver(run["state"])
