"""Does what somebody wants of a project's run: at once where nobody executes it, otherwise by a wish that its owner obeys."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TypeAlias

from penstock_api.domain.new_project import Violation
from penstock_api.domain.wishes import NOT_QUEUED, Refusal, Retry, Step, Verdict, Wish, comes_of
from penstock_api.handlers.catalog import Catalog
from penstock_api.handlers.projects import Projects
from penstock_backbone.errors import Retryable
from penstock_backbone.ports import Clock, Tables
from penstock_backbone.records.projects import ProjectItem
from penstock_backbone.records.runs import RunItem, as_run, run_key
from penstock_backbone.records.times import to_ms
from penstock_backbone.records.waits import RETURNS_DUE, set_timer
from penstock_backbone.vocabulary import Committed, Update, Write, Written

ATTEMPTS_MAX = 12
"""Each begins anew from what stands there: a run that moves on fast may win several of them."""
BACKOFF_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class NoSuchProject:
    """Of this tenant."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """The input that a retry was to begin with does not fit the workflow."""

    violations: tuple[Violation, ...]


Answer: TypeAlias = Verdict | NoSuchProject | Misfit


class Verbs:
    def __init__(self, tables: Tables, projects: Projects, catalog: Catalog, clock: Clock) -> None:
        self._tables = tables
        self._projects = projects
        self._catalog = catalog
        self._clock = clock

    async def do(self, tenant: str, project_id: str, wish: Wish) -> Answer:
        """Repeating it is safe: what it finds done already it answers in the same way. Raises Retryable."""
        project = await self._projects.find(tenant, project_id)
        if project is None:
            return NoSuchProject()
        for attempt in range(1, ATTEMPTS_MAX + 1):
            found = await self._once(project, wish)
            if found is not None:
                return found
            await self._clock.sleep(BACKOFF_SECONDS * attempt)
        raise Retryable("the run changes too fast to be asked for anything: try again")

    async def _once(self, project: ProjectItem, wish: Wish) -> Answer | None:
        """None: somebody else was faster, or the outcome is not known; the next look tells."""
        try:
            (item,) = await self._tables.get([run_key(project["run_id"])])
            run = None if item is None else as_run(item)
            found = comes_of(wish, project, run, to_ms(self._clock.now()))
            if isinstance(found, Refusal) and found.kind == NOT_QUEUED:
                return None
            if not isinstance(found, Step):
                return found
            if isinstance(wish, Retry) and run is not None and (wrong := await self._wrong(wish, project, run)):
                return Misfit(wrong)
            return found.verdict if await self._written(found.write) else None
        except Retryable:
            return None

    async def _wrong(self, wish: Retry, project: ProjectItem, run: RunItem) -> tuple[Violation, ...]:
        if "input" not in wish.edited:
            return ()
        return await self._catalog.misfits(
            project["workflow"], json.loads(wish.edited["input"]), version=run.get("version")
        )

    async def _written(self, write: Write) -> bool:
        """A run that returns gets a timer with it: its token is made even when nobody hears of it otherwise."""
        if not isinstance(write, Update) or "returning" not in write.set:
            (outcome,) = await self._tables.write([write])
            return isinstance(outcome, Written)
        timer = set_timer(write.key.pk, due=RETURNS_DUE, seq=write.set["seq"])
        return isinstance(await self._tables.transact([write, timer]), Committed)
