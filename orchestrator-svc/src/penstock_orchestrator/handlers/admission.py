"""The admission: looks where the hints point, enqueues what is new, releases what has ended, and lets in whose turn it is.

A hint is never an order. Every turn reads what is true and decides from that, so that lost, late, repeated and
reordered hints cost time and nothing else, and two admissions at once are harmless.
"""

from __future__ import annotations

import asyncio
import logging
from collections import ChainMap
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, TypeAlias, assert_never

from penstock_backbone.errors import BackboneError, Retryable
from penstock_backbone.ports import Chance, Clock, Ids, Tables
from penstock_backbone.records.projects import ProjectItem, as_project, project_key
from penstock_backbone.records.runs import QUEUED, RunItem, as_run, run_key
from penstock_backbone.records.tokens import RELEASE, REQUEUE, WITHDRAW, Operation
from penstock_backbone.telemetry import Telemetry
from penstock_backbone.vocabulary import BATCH_ITEMS_MAX, Item, Key
from penstock_orchestrator.domain.backoff import backoff_seconds
from penstock_orchestrator.domain.budgets import apportion
from penstock_orchestrator.domain.decision import decide
from penstock_orchestrator.domain.durations import Durations
from penstock_orchestrator.domain.hints import Hints
from penstock_orchestrator.domain.together import decide_together
from penstock_orchestrator.domain.token import Token
from penstock_orchestrator.domain.verdicts import Ended, Executing, Returned, Unclaimed, Unclear, is_leaving, judge
from penstock_orchestrator.handlers.enqueue import Enqueue, InTheWay
from penstock_orchestrator.handlers.fleet import Fleet
from penstock_orchestrator.handlers.limits import LimitsInForce
from penstock_orchestrator.handlers.records import DAMAGE
from penstock_orchestrator.handlers.resharding import Resharding
from penstock_orchestrator.handlers.shards import Shards, together
from penstock_orchestrator.handlers.waits import Waits

OVERTAKEN_MAX = 8
ENQUEUED_REMEMBERED_MAX = 10_000
"""Runs whose next hints, which are repetitions, need not be followed."""
DECISIONS_MAX = 50
ENQUEUED_MAX = 200
"""In one turn, so that slots that are freed are not kept waiting by a flood or a backlog of new projects."""

Step: TypeAlias = Literal["done", "more", "overtaken"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Turn:
    """`finished` False: there was more to do, so the hints that are left are due again. `damaged`: projects nobody can enqueue."""

    finished: bool
    damaged: set[str] = field(default_factory=set)


class Admission:
    """Of all shards. Their gates and `durations` may be read between turns."""

    def __init__(self, tables: Tables, *, clock: Clock, ids: Ids, chance: Chance, telemetry: Telemetry) -> None:
        self._tables = tables
        self._clock = clock
        self._chance = chance
        self._ids = ids
        self.limits = LimitsInForce(tables)
        self.fleet = Fleet(tables, self.limits, clock)
        self.shards = Shards(tables, clock=clock, ids=ids, chance=chance)
        self._resharding = Resharding(tables, self.shards, self.limits, ids)
        self._enqueue = Enqueue(tables, home=self.shards.home_of, clock=clock, chance=chance)
        self._waits = Waits(telemetry, clock)
        self.durations = Durations()
        self._enqueued: dict[str, None] = {}

    async def turn(self, hints: Hints) -> Turn:
        """What is done is taken out of `hints`. Raises Retryable when it could not be carried through: the same hints are
        due again."""
        try:
            return await self._turn(hints)
        except BackboneError:
            raise
        except Exception:
            # A defect of ours: a gate may be half changed, so all are built anew before the next decision.
            self.shards.distrust()
            raise

    async def _turn(self, hints: Hints) -> Turn:
        if hints.everything:
            self.shards.distrust()
        if not self.shards.are_current:
            await self._load()
        elif hints.limits:
            await self._read_limits()
        accepted, named = self._next_projects(hints)
        projects, runs = await self._read(hints, accepted, named)
        damaged = await self._enqueue_new(projects) if projects else set()
        endings, resuming = self._endings(runs)
        finished = await self._decide(endings, resuming)
        self.shards.compare_drawn()
        if hints.returning:
            returning = [run for name in sorted(hints.returning) if (run := runs.get(name))]
            finished = await self._return(returning) and finished
        self.durations.note(runs[_run_of(ending)] for ending in endings if ending.op == RELEASE)
        hints.took_up([*accepted, *named])
        if finished:
            hints.forget_all_but_projects()
        return Turn(finished and not hints, damaged)

    async def _read_limits(self) -> None:
        """With several shards the ledger must be no older than the limits. Where neither has changed, it is the one that stands
        there now, and the gates are as good as before: a head that was moved meanwhile refuses a decision."""
        before = self.limits.now
        now = await self.limits.read()
        self.shards.drawings_are_old |= now != before
        if len(self.shards) > 1 and not (await self.shards.has_newest_ledger() and now == before):
            self.shards.distrust()
            await self._load()

    async def _load(self) -> None:
        await together([self.limits.read(), self.fleet.look()])
        await self.shards.load(self.limits.now)
        self._waits.forget_all_but(ChainMap(*(gate.waiting for gate in self.shards.gates)))

    def _next_projects(self, hints: Hints) -> tuple[list[str], list[str]]:
        """ENQUEUED_MAX of those that may be new: first those that are known as they stand in the table, then by name."""
        hints.took_up([name for name, item in hints.accepted.items() if item.get("run_id") in self._enqueued])
        hints.took_up([name for name, run in hints.projects.items() if run in self._enqueued])
        accepted = list(islice(hints.accepted, ENQUEUED_MAX))
        others = sorted(name for name in hints.projects if name not in hints.accepted)
        return accepted, others[: ENQUEUED_MAX - len(accepted)]

    async def _read(
        self, hints: Hints, accepted: Sequence[str], named: Sequence[str]
    ) -> tuple[list[ProjectItem], dict[str, RunItem | None]]:
        """What the hints point at, as it is now, as far as there can be anything to do about it.

        A project that is not there was never accepted. A run that holds no token here has nothing to give back;
        should another orchestrator have let it in, the next decision meets a moved head and reads everything.
        """
        held = (run for run in hints.runs if self.shards.held_of(run))
        runs = sorted(({*held, *hints.leaving} - hints.ended.keys()) | hints.returning)
        items = await self._get([*map(project_key, named), *map(run_key, runs)])
        found = [as_project(item) for item in items[: len(named)] if item is not None]
        if len(found) < len(named):
            _log.warning("%d hints name projects that do not exist", len(named) - len(found))
        states = [None if item is None else as_run(item) for item in items[len(named) :]]
        return [*(hints.accepted[name] for name in accepted), *found], {
            **hints.ended,
            **dict(zip(runs, states, strict=True)),
        }

    async def _return(self, runs: Sequence[RunItem]) -> bool:
        """Makes the tokens of runs that need one again, once those that they had before are gone, and decides again.
        False: the same hints are due again."""
        made = 0
        in_the_way = []
        for run in runs:
            try:
                token = await self._made_again(run)
            except DAMAGE as error:
                _log.error("The run %s returns and gets no token, because it cannot be read: %r", run.get("pk"), error)
                continue
            match token:
                case Token():
                    self.shards.wait(token)
                    made += 1
                case InTheWay():
                    in_the_way.append(run)
                case None:
                    pass
                case _:
                    assert_never(token)
        if not all(self.shards.held_of(run["pk"]) or self.shards.waiting(run["token"]) for run in in_the_way):
            # The gates, or the map, are older than what stands in the table.
            self.shards.distrust()
            return False
        finished = not made or await self._decide([], frozenset())
        return finished and not in_the_way

    async def _made_again(self, run: RunItem) -> Token | InTheWay | None:
        if run["state"] != QUEUED or "returning" not in run:
            return None
        return await self._enqueue.again(run, self.shards.ledger)

    async def _enqueue_new(self, projects: Sequence[ProjectItem]) -> set[str]:
        """The ids of those that cannot be enqueued."""
        enqueued = await self._enqueue(projects)
        for token in enqueued.tokens:
            self.shards.wait(token)
        self._waits.begin(enqueued.tokens, projects)
        self._enqueued |= {project["run_id"]: None for project in projects if project["pk"] not in enqueued.damaged}
        while len(self._enqueued) > ENQUEUED_REMEMBERED_MAX:
            del self._enqueued[next(iter(self._enqueued))]
        return enqueued.damaged

    async def _get(self, keys: Sequence[Key]) -> list[Item | None]:
        if not keys:
            return []
        batches = [keys[start : start + BATCH_ITEMS_MAX] for start in range(0, len(keys), BATCH_ITEMS_MAX)]
        if len(batches) == 1:
            return await self._tables.get(batches[0])
        return [item for items in await asyncio.gather(*map(self._tables.get, batches)) for item in items]

    def _endings(self, runs: dict[str, RunItem | None]) -> tuple[list[Operation], set[str]]:
        """And which tokens keep their turns. What cannot be read keeps what it has, and holds nobody else up."""
        endings: list[Operation] = []
        resuming: set[str] = set()
        for name, run in runs.items():
            try:
                endings += self._ending(name, run, resuming)
            except DAMAGE as error:
                _log.error("The run %s cannot be read, so its token stays: %r", name, error)
        return endings, resuming

    def _ending(self, name: str, run: RunItem | None, resuming: set[str]) -> list[Operation]:
        token = self.shards.held_of(name)
        if token is None:
            return self._withdrawals(run)
        verdict = judge(token.fence, run)
        match verdict:
            case Ended():
                return [Operation(RELEASE, token.key, token.fence)]
            case Returned(resumes):
                assert run is not None, "a run that is gone has ended"
                if resumes:
                    resuming.add(token.key)
                return [Operation(REQUEUE, token.key, token.fence, run.get("version", ""))]
            case Unclaimed() | Executing():
                pass
            case Unclear():
                _log.error("The state of the run %s cannot be read, so its token stays held", name)
            case _:
                assert_never(verdict)
        return []

    def _withdrawals(self, run: RunItem | None) -> list[Operation]:
        """Of a run that was cancelled or paused while it waited. Its token is looked up by the run's own word."""
        token = None if run is None else self.shards.waiting(run["token"])
        if run is None or token is None or not is_leaving(token.fence, run):
            return []
        return [Operation(WITHDRAW, token.key, token.fence)]

    async def _decide(self, endings: Sequence[Operation], resuming: AbstractSet[str]) -> bool:
        """False: DECISIONS_MAX were made and there is more."""
        overtaken = 0
        for _ in range(DECISIONS_MAX):
            await self.shards.settle()
            if self._resharding.is_due:
                step: Step = "more" if await self._resharding.step() else "overtaken"
            elif len(self.shards) == 1:
                step = await self._decide_alone(endings, resuming)
            else:
                step = await self._decide_together(endings, resuming)
            if step == "done":
                return True
            if step == "more":
                continue
            overtaken += 1
            if overtaken == OVERTAKEN_MAX:
                raise Retryable("others decided first each time: trying again")
            await self._clock.sleep(backoff_seconds(overtaken, self._chance.random(), first=0.01, longest=0.2))
            await self._load()
        return False

    async def _decide_alone(self, endings: Sequence[Operation], resuming: AbstractSet[str]) -> Step:
        decision = decide(self.shards[0].gate, self.limits.now, endings, resuming)
        if not decision.operations:
            return "done"
        if not await self.shards[0].commit(decision.operations):
            return "overtaken"
        self._waits.end(decision.operations)
        return "more" if decision.leaves_more else "done"

    async def _decide_together(self, endings: Sequence[Operation], resuming: AbstractSet[str]) -> Step:
        """Every shard's decision on its own head; then the budgets are moved for those who had none."""
        shards, limits = self.shards, self.limits
        both = decide_together(shards.gates, limits.now, shards.ledger, endings, resuming)
        made = [(shards[number], decision) for number, decision in enumerate(both.decisions) if decision.operations]
        committed = await together(shard.commit(decision.operations) for shard, decision in made)
        for (_, decision), counts in zip(made, committed, strict=True):
            if counts:
                self._waits.end(decision.operations)
        if not all(committed):
            return "overtaken"
        if both.short:
            held = [gate.held_by_scope() for gate in shards.gates]
            move = apportion(shards.ledger, limits.now, held, both.wanted, both.short, commit_id=self._ids.new("bud"))
            checks = list(map(limits.stands, move.raised))
            await shards.settle()
            return "more" if await shards.amend(move.ledger, move.lowered, checks, limits.now) else "overtaken"
        return "more" if any(decision.leaves_more for decision in both.decisions) else "done"


def _run_of(ending: Operation) -> str:
    return ending.token.rpartition("#")[2]
