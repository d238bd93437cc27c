"""The users: they post projects, lose answers, ask again under the same key, and expect each wish to be one project."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, assert_never, cast

from tests.simulation.loop import SimulationLoop
from tests.simulation.machine import Process, stream_of
from tests.simulation.plan import API, Plan
from tests.simulation.sightings import Sightings
from tests.simulation.violations import Violation, demand
from tests.simulation.workload import Wish, wishes

from penstock_api.domain.wishes import (
    NOT_ASKED,
    NOT_OVER,
    Answer,
    Asked,
    Cancel,
    Done,
    Pause,
    Refusal,
    Resume,
    Retry,
    Signal,
)
from penstock_api.domain.wishes import Wish as Asking
from penstock_api.handlers.accept import (
    Accepted,
    InputMisfit,
    KeyReused,
    NothingAnnounced,
    Replayed,
    Submission,
    UnknownWorkflow,
    Verdict,
)
from penstock_api.handlers.verbs import NoSuchProject
from penstock_backbone.errors import Retryable
from penstock_backbone.records.runs import CANCELLED
from penstock_backbone.vocabulary import Item

CANCELLED_PART = 0.2
PAUSED_PART = CANCELLED_PART + 0.15
RETRIED_PART = PAUSED_PART + 0.15
"""Of the wishes, by users who change their minds."""
PATIENCE_SECONDS = 5.0
ASK_AGAIN_SECONDS = 1.0
ASK_AGAIN_SECONDS_MAX = 5.0
ASKED_MAX = 200
RETRIES_MAX = 15
"""Of runs that are not over yet: their users lose interest."""


class Users:
    """`accepted` holds the projects that users were told of, by wish; `cancelled` those that were said to be, or to
    become, cancelled."""

    def __init__(
        self,
        plan: Plan,
        loop: SimulationLoop,
        processes: dict[str, Process],
        sightings: Sightings,
        rests_for_good: Callable[[str], bool],
    ) -> None:
        self._loop = loop
        self._processes = processes
        self._sightings = sightings
        self._rests_for_good = rests_for_good
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
                        answering = (
                            self._answer(wish, project["pk"]) if wish.project.workflow == "parley" else _nothing()
                        )
                        await asyncio.gather(self._changes_mind(wish, project["pk"]), answering)
                        return
                case KeyReused(project_id):
                    raise Violation("I12", f"the key of wish {wish.number} is said to have made {project_id}")
                case UnknownWorkflow() | NothingAnnounced() | InputMisfit():
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
        except Retryable:
            return None
        except Exception as error:
            raise Violation("log", f"the API failed a request: {error!r}") from error

    async def _changes_mind(self, wish: Wish, project: str) -> None:
        lot = self._chance.random()
        if lot < CANCELLED_PART:
            await self._cancel(wish, project)
        elif lot < PAUSED_PART:
            await self._pause(wish, project)
        elif lot < RETRIED_PART:
            await self._retry(wish, project)

    async def _cancel(self, wish: Wish, project: str) -> None:
        """Sooner or later, and again until somebody says what became of it."""
        await self._later()
        for asked in range(ASKED_MAX):
            verdict = await self._do(wish, project, Cancel("enough"))
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
                case None:
                    pass
            await self._sleep(ASK_AGAIN_SECONDS)
        raise Violation("I11", f"{project} could not be cancelled in {ASKED_MAX} requests")

    async def _pause(self, wish: Wish, project: str) -> None:
        """And goes on after a while."""
        await self._later()
        if await self._until_heard(wish, project, Pause("not now")):
            self._sightings.note("a run was to be paused")
            await self._later()
        await self._until_heard(wish, project, Resume())

    async def _retry(self, wish: Wish, project: str) -> None:
        """Whatever became of it, and what has succeeded from its first stage on."""
        retried = await self._until_heard(wish, project, Retry(), (NOT_OVER,))
        if not retried:
            first = "draft" if wish.project.workflow in ("line", "parley") else "plan"
            retried = await self._until_heard(wish, project, Retry(first))
        if retried and wish.project.workflow == "parley":
            await self._answer(wish, project)

    async def _answer(self, wish: Wish, project: str) -> None:
        """What a run of "parley" waits for, sooner or later; who has asked for the end of it need not."""
        await self._later()
        await asyncio.gather(
            self._until_heard(wish, project, Answer(approved=self._chance.random() < 0.9, stage="ask"), (NOT_ASKED,)),
            self._until_heard(wish, project, Signal("paid", '{"text":"yes"}')),
        )

    async def _until_heard(self, wish: Wish, project: str, asked: Asking, again: Sequence[str] = ()) -> bool:
        """True: it is done, or will be. False: it was refused, for good or ASKED_MAX times in a row. `again` are refusals
        after which it is asked anew."""
        most = RETRIES_MAX if isinstance(asked, Retry) else ASKED_MAX
        was_heard = False
        for times in range(most):
            verdict = await self._do(wish, project, asked)
            was_heard = was_heard or verdict is not None
            if isinstance(verdict, Done | Asked):
                return True
            if isinstance(verdict, Refusal) and (verdict.kind not in again or self._rests_for_good(project)):
                return False
            await self._sleep(min((times + 1) * ASK_AGAIN_SECONDS, ASK_AGAIN_SECONDS_MAX))
        demand(was_heard, "I11", f"{project} did not hear {asked} in {most} requests")
        return False

    async def _do(self, wish: Wish, project: str, asked: Asking) -> Done | Asked | Refusal | None:
        verdict = await self._try(lambda process: process.subject.verbs.do(wish.tenant, project, asked))
        if isinstance(verdict, NoSuchProject):
            raise Violation("I12", f"{project}, which was accepted, is gone")
        return cast(Done | Asked | Refusal | None, verdict)

    async def _later(self) -> None:
        await self._sleep(self._chance.choice((0.0, 0.02, 0.5, 3.0, 10.0)))

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


async def _nothing() -> None:
    return
