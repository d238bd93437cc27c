"""The users: they post projects, lose answers, ask again under the same key, and expect each wish to be one project."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, assert_never, cast

from tests.simulation.loop import SimulationLoop
from tests.simulation.machine import Process, stream_of
from tests.simulation.plan import API, Plan
from tests.simulation.sightings import Sightings
from tests.simulation.violations import Violation, demand
from tests.simulation.workload import Wish, wishes

from penstock_api.domain.wishes import Asked, Cancel, Done, Refusal
from penstock_api.handlers.accept import (
    Accepted,
    KeyReused,
    NothingAnnounced,
    Replayed,
    Submission,
    UnknownWorkflow,
    Verdict,
)
from penstock_api.handlers.verbs import NoSuchProject
from penstock_backbone.errors import BackboneError
from penstock_backbone.records.runs import CANCELLED
from penstock_backbone.vocabulary import Item

CANCELLED_PART = 0.2
"""Of the wishes, by users who change their minds."""
PATIENCE_SECONDS = 5.0
ASK_AGAIN_SECONDS = 1.0
ASKED_MAX = 200


class Users:
    """`accepted` holds the projects that users were told of, by wish; `cancelled` those that were said to be, or to
    become, cancelled."""

    def __init__(self, plan: Plan, loop: SimulationLoop, processes: dict[str, Process], sightings: Sightings) -> None:
        self._loop = loop
        self._processes = processes
        self._sightings = sightings
        self._chance = stream_of(plan.seed, "users")
        self.wishes = wishes(plan.seed, plan.runs, plan.submit_seconds)
        self.accepted: dict[int, str] = {}
        self.cancelled: set[str] = set()

    async def all(self) -> None:
        await asyncio.gather(*(self._one(wish) for wish in self.wishes))

    async def _one(self, wish: Wish) -> None:
        await self._sleep(wish.at)
        for asked in range(ASKED_MAX):
            if asked and wish.key is not None:
                self._sightings.note("a request was repeated under its key (1, 4)")
            verdict = await self._ask(wish)
            match verdict:
                case Accepted(project) | Replayed(project):
                    known = self.accepted.setdefault(wish.number, project["pk"])
                    demand(known == project["pk"], "I12", f"wish {wish.number} made {known} and {project['pk']}")
                    if wish.key is None or self._chance.random() < 0.9:
                        if self._chance.random() < CANCELLED_PART:
                            await self._cancel(wish, project["pk"])
                        return
                case KeyReused(project_id):
                    raise Violation("I12", f"the key of wish {wish.number} is said to have made {project_id}")
                case UnknownWorkflow() | NothingAnnounced():
                    pass
                case None:
                    if wish.key is None:
                        return
                case _:
                    assert_never(verdict)
            await self._sleep(ASK_AGAIN_SECONDS)
        raise Violation("I11", f"wish {wish.number} was not heard in {ASKED_MAX} requests")

    async def _ask(self, wish: Wish) -> Verdict | None:
        submission = Submission(wish.tenant, wish.project, wish.key, None)
        return cast(Verdict | None, await self._try(lambda process: process.subject.acceptance.accept(submission)))

    async def _try(self, request: Callable[[Process], Coroutine[Any, Any, Any]]) -> Any:
        """None: it is not known what became of the request."""
        process = self._processes[API]
        if process.gone:
            return None
        asking = process.start(request(process))
        done, _ = await asyncio.wait([asking], timeout=PATIENCE_SECONDS)
        if not done:
            asking.cancel()
            return None
        try:
            return asking.result()
        except BackboneError:
            return None

    async def _cancel(self, wish: Wish, project: str) -> None:
        """Sooner or later, and again until somebody says what became of it."""
        await self._sleep(self._chance.choice((0.0, 0.02, 0.5, 3.0, 10.0)))
        for asked in range(ASKED_MAX):
            verdict = await self._try(lambda process: process.subject.verbs.do(wish.tenant, project, Cancel("enough")))
            match verdict:
                case Done() | Asked():
                    if project in self.cancelled:
                        self._sightings.note("a run was cancelled twice (76)")
                    self.cancelled.add(project)
                    self._sightings.note(
                        "a run was cancelled while it " + ("waited" if isinstance(verdict, Done) else "ran")
                    )
                    if asked or self._chance.random() < 0.9:
                        return
                case Refusal(why=why):
                    demand(project not in self.cancelled, "I6", f"{project} was to be cancelled, and: {why}")
                    return
                case NoSuchProject():
                    raise Violation("I12", f"{project}, which was accepted, cannot be cancelled: it is gone")
                case None:
                    pass
            await self._sleep(ASK_AGAIN_SECONDS)
        raise Violation("I11", f"{project} could not be cancelled in {ASKED_MAX} requests")

    async def _sleep(self, seconds: float) -> None:
        woken = self._loop.create_future()
        self._loop.call_later(seconds, woken.set_result, None)
        await woken

    def at_the_end(self, projects: dict[str, Item], runs: dict[str, Item]) -> None:
        """What was accepted is there, and under one key there is one project."""
        for number, project in self.accepted.items():
            demand(project in projects, "I12", f"{project}, accepted for wish {number}, is gone")
            demand(projects[project]["run_id"] in runs, "I12", f"{project} has no run")
        for project in self.cancelled:
            state = runs[projects[project]["run_id"]]["state"]
            demand(state == CANCELLED, "I6", f"{project} was said to be cancelled, and has {state}")
        made = Counter(item["name"] for item in projects.values())
        demand(all(count == 1 for count in made.values()), "I12", f"one wish made several projects: {made}")
