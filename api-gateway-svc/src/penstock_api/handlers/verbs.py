"""Does what somebody wants of a project's run: at once where nobody executes it, otherwise by a wish that its owner obeys."""

from __future__ import annotations

from dataclasses import dataclass

from penstock_api.domain.wishes import NOT_QUEUED, Refusal, Step, Verdict, Wish, comes_of
from penstock_api.handlers.projects import Projects
from penstock_backbone.errors import Retryable
from penstock_backbone.ports import Clock, Tables
from penstock_backbone.records.projects import ProjectItem
from penstock_backbone.records.runs import as_run, run_key
from penstock_backbone.records.times import to_ms
from penstock_backbone.records.waits import RETURN_SECONDS, set_timer
from penstock_backbone.vocabulary import Committed, Update, Write, Written

ATTEMPTS_MAX = 12
"""Each begins anew from what stands there: a run that moves on fast may win several of them."""
BACKOFF_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class NoSuchProject:
    """Of this tenant."""


class Verbs:
    def __init__(self, tables: Tables, projects: Projects, clock: Clock) -> None:
        self._tables = tables
        self._projects = projects
        self._clock = clock

    async def do(self, tenant: str, project_id: str, wish: Wish) -> Verdict | NoSuchProject:
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

    async def _once(self, project: ProjectItem, wish: Wish) -> Verdict | None:
        """None: somebody else was faster, or the outcome is not known; the next look tells."""
        try:
            (item,) = await self._tables.get([run_key(project["run_id"])])
            run = None if item is None else as_run(item)
            found = comes_of(wish, project, run, to_ms(self._clock.now()))
            if isinstance(found, Refusal) and found.kind == NOT_QUEUED:
                return None
            if not isinstance(found, Step):
                return found
            return found.verdict if await self._written(found.write) else None
        except Retryable:
            return None

    async def _written(self, write: Write) -> bool:
        """A run that returns gets a timer with it: its token is made even when nobody hears of it otherwise."""
        if not isinstance(write, Update) or "returning" not in write.set:
            (outcome,) = await self._tables.write([write])
            return isinstance(outcome, Written)
        due = to_ms(self._clock.now()) + round(RETURN_SECONDS * 1000)
        timer = set_timer(write.key.pk, due=due, seq=write.set["seq"])
        return isinstance(await self._tables.transact([write, timer]), Committed)
