"""Takes granted runs off the dispatch queue and claims them: from then on the session's lease owns them, not the queue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from penstock_backbone.errors import Retryable
from penstock_backbone.inventory import DISPATCH_QUEUE
from penstock_backbone.records.projects import ProjectItem, as_project, project_key
from penstock_backbone.records.runs import RunItem, as_run, claim_run, is_claimed_by, run_key
from penstock_backbone.records.times import to_ms
from penstock_backbone.telemetry import parent_of
from penstock_backbone.vocabulary import Item, Key, Message, Outcome, Refused, Unsettled, Update, Written
from penstock_runner.domain.dispatch import Claim, Dispatch, Drop, Leave, decide, is_suspect, parse
from penstock_runner.domain.given import as_asked, without
from penstock_runner.handlers.execution import Execution
from penstock_runner.handlers.journal import Journal
from penstock_runner.handlers.other_projects import OtherProjects
from penstock_runner.handlers.patience import pause, repeated
from penstock_runner.handlers.progress import Progress
from penstock_runner.handlers.session import Heartbeat, Session
from penstock_runner.handlers.shelf import Shelf
from penstock_runner.handlers.stage import ClaimedRun
from penstock_runner.handlers.waiting import Waiting
from penstock_runner.handlers.watchdog import Watchdog
from penstock_runner.ports import World
from penstock_runner.registry import Registry

RECEIVE_MESSAGES_MAX = 40
"""The runs and projects of one batch fit one read."""
RECEIVE_WAIT_SECONDS = 10.0
NO_SESSION_WAIT_SECONDS = 0.2
READ_ATTEMPTS_MAX = 5

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A dispatched run that may be claimed."""

    receipt: str
    dispatch: Dispatch
    run: RunItem
    project: ProjectItem
    claim: Claim

    @property
    def key(self) -> tuple[str, int]:
        return (self.dispatch.run, self.dispatch.fence)


@dataclass(slots=True)
class _Sorted:
    """What becomes of the messages of one batch, by receipt; `left` by the seconds until they are offered again."""

    candidates: list[_Candidate] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)
    left: dict[float, list[str]] = field(default_factory=dict)


class Claims:
    def __init__(
        self, world: World, *, registry: Registry, heartbeat: Heartbeat, watchdog: Watchdog, capacity: int
    ) -> None:
        self._world = world
        self._registry = registry
        self._heartbeat = heartbeat
        self._watchdog = watchdog
        self._capacity = capacity
        self._reserved = 0
        self._claiming: set[tuple[str, int]] = set()
        self._suspect: tuple[str, int] | None = None
        self._freed = asyncio.Event()
        self.executions: dict[tuple[str, int], Execution] = {}

    async def receive(self) -> list[Message]:
        """As many messages as there are free slots, which are reserved until `take` has had them; [] now and then."""
        while (free := self._capacity - len(self.executions) - self._reserved) <= 0:
            self._freed.clear()
            await self._freed.wait()
        if self._heartbeat.live_session() is None:
            await self._world.clock.sleep(NO_SESSION_WAIT_SECONDS)
            return []
        limit = min(free, RECEIVE_MESSAGES_MAX)
        messages = await self._world.queues.receive(DISPATCH_QUEUE, limit, RECEIVE_WAIT_SECONDS)
        self._reserved += len(messages)
        return messages

    async def take(self, messages: Sequence[Message]) -> None:
        """Claims what can be claimed and starts it, and settles the messages. Those that it does not settle come
        again by themselves."""
        batch = _Sorted()
        try:
            if self._heartbeat.live_session() is None:
                batch.left[0.0] = [message.receipt for message in messages]
            else:
                await self._sort(messages, batch)
                await self._claim(batch)
        finally:
            self._claiming.difference_update(candidate.key for candidate in batch.candidates)
            if self._suspect not in self._claiming and self._suspect not in self.executions:
                self._suspect = None
            self._reserved -= len(messages)
            self._freed.set()
        if batch.settled:
            await self._world.queues.delete(DISPATCH_QUEUE, batch.settled)
        for seconds, receipts in batch.left.items():
            await self._world.queues.extend(DISPATCH_QUEUE, receipts, seconds)

    async def _sort(self, messages: Sequence[Message], batch: _Sorted) -> None:
        dispatches = {message.receipt: parse(message.body) for message in messages}
        items = await self._read([dispatch for dispatch in dispatches.values() if dispatch])
        for message in sorted(messages, key=lambda message: -_fence(dispatches[message.receipt])):
            dispatch = dispatches[message.receipt]
            if dispatch is None:
                _log.warning("A message on the dispatch queue is not a dispatch: %.200s", message.body)
                batch.settled.append(message.receipt)
            else:
                self._judge(message, dispatch, items, batch)

    def _judge(self, message: Message, dispatch: Dispatch, items: dict[Key, Item], batch: _Sorted) -> None:
        item = items.get(run_key(dispatch.run))
        run = as_run(item) if item else None
        decision = decide(
            dispatch, run, receives=message.receives, find=self._registry.find, now=to_ms(self._world.clock.now()),
            has_suspect=self._suspect is not None and self._suspect[0] != dispatch.run,
        )  # fmt: skip
        match decision:
            case Claim():
                assert run is not None, "a claim without its run"
                project = items.get(project_key(run["project_id"]))
                key = (dispatch.run, dispatch.fence)
                if project is None:
                    _log.error("Run %s has no project %s: it is left alone.", run["pk"], run["project_id"])
                known = key in self._claiming or key in self.executions
                if project is None or known or any(other.dispatch.run == dispatch.run for other in batch.candidates):
                    batch.settled.append(message.receipt)
                    return
                if is_suspect(run):
                    self._suspect = key
                self._claiming.add(key)
                batch.candidates.append(_Candidate(message.receipt, dispatch, run, as_project(project), decision))
            case Drop(reason=reason):
                _log.info("The grant of run %s under fence %d is dropped: %s.", dispatch.run, dispatch.fence, reason)
                batch.settled.append(message.receipt)
            case Leave(seconds=seconds, reason=reason):
                _log.warning("Run %s is left to others: %s.", dispatch.run, reason)
                batch.left.setdefault(seconds, []).append(message.receipt)

    async def _read(self, dispatches: Sequence[Dispatch]) -> dict[Key, Item]:
        """The runs, and their projects: together where the messages name the projects."""
        wanted = [run_key(dispatch.run) for dispatch in dispatches]
        wanted += [project_key(dispatch.project) for dispatch in dispatches if dispatch.project]
        found = await self._get(wanted)
        missing = [
            key
            for key in (project_key(item["project_id"]) for item in list(found.values()) if "project_id" in item)
            if key not in wanted
        ]
        return found | await self._get(missing) if missing else found

    async def _get(self, keys: Sequence[Key]) -> dict[Key, Item]:
        keys = list(dict.fromkeys(keys))
        if not keys:
            return {}
        items = await repeated(self._world, lambda: self._world.tables.get(keys), READ_ATTEMPTS_MAX)
        return {key: item for key, item in zip(keys, items, strict=True) if item is not None}

    async def _claim(self, batch: _Sorted) -> None:
        """One write a round for all of them, until each is won or lost. A session that ends meanwhile takes with it
        what it had won: that is requeued with everything else it owned."""
        session = self._heartbeat.live_session()
        candidates = batch.candidates
        failures = 0
        while candidates and session is not None and not session.is_over(self._world.clock.monotonic()):
            if failures:
                await pause(self._world, failures)
            writes = [self._write(candidate, session) for candidate in candidates]
            outcomes = await self._try(writes)
            again: list[_Candidate] = []
            for candidate, write, outcome in zip(candidates, writes, outcomes, strict=True):
                following = self._after(outcome, candidate, write, session)
                if following is None:
                    batch.settled.append(candidate.receipt)
                else:
                    again.append(following)
            candidates = again
            failures += 1
        if candidates:
            batch.left[0.0] = [candidate.receipt for candidate in candidates]

    def _write(self, candidate: _Candidate, session: Session) -> Update:
        workflow = candidate.claim.plan.workflow
        return claim_run(
            candidate.run,
            fence=candidate.dispatch.fence,
            session=session.id,
            version=workflow.version,
            plan=candidate.claim.plan.digest,
            stages=tuple(candidate.claim.plan.stages),
            first=[stage.name for stage in candidate.claim.first],
            attempts=candidate.claim.attempts,
            cleared=candidate.claim.cleared,
            hooked=workflow.on_failure is not None,
            at=to_ms(self._world.clock.now()),
        )

    async def _try(self, writes: Sequence[Update]) -> Sequence[Outcome]:
        try:
            return await self._world.tables.write(writes)
        except Retryable as error:
            return [Unsettled(str(error))] * len(writes)

    def _after(self, outcome: Outcome, candidate: _Candidate, write: Update, session: Session) -> _Candidate | None:
        """What to try next, or None when this message has had its effect."""
        match outcome:
            case Written():
                self._start(candidate, session, write)
                return None
            case Unsettled():
                return candidate
            case Refused(item=None):
                return None
            case Refused(item=item):
                assert item is not None
                if is_claimed_by(item, fence=candidate.dispatch.fence, session=session.id):
                    self._start(candidate, session, write)
                    return None
                decision = decide(
                    candidate.dispatch, as_run(item), receives=1, find=self._registry.find,
                    now=to_ms(self._world.clock.now()), has_suspect=False,
                )  # fmt: skip
                return replace(candidate, run=as_run(item), claim=decision) if isinstance(decision, Claim) else None
            case _:
                assert_never(outcome)

    def _start(self, candidate: _Candidate, session: Session, write: Update) -> None:
        if session.fenced:
            return
        world, plan, fence = self._world, candidate.claim.plan, candidate.dispatch.fence
        run = without(candidate.run, candidate.claim.cleared)
        if plan.blocking - run["results"].keys():
            world.workers.near()
        journal = Journal(world, session, run, fence, seq=write.set["seq"])
        claimed = ClaimedRun(
            world=world,
            watchdog=self._watchdog,
            plan=plan,
            first=candidate.claim.first,
            run_id=run["pk"],
            project=as_asked(candidate.project, run),
            shelf=Shelf(world, run["pk"], fence, journal.is_crowded),
            others=OtherProjects(world, run["tenant"]),
            progress=Progress(world, journal),
            waiting=Waiting(world, journal),
            stopping=asyncio.Event(),
            spent=journal.spent,
            trace=parent_of(run.get("traceparent")),
        )
        execution = Execution(claimed, journal, run, self._closed)
        session.work[execution.key] = execution
        self.executions[execution.key] = execution
        if self._heartbeat.draining:
            execution.drain()
        execution.start()

    def _closed(self, execution: Execution) -> None:
        del self.executions[execution.key]
        execution.session.work.pop(execution.key)
        if self._suspect == execution.key:
            self._suspect = None
        self._freed.set()


def _fence(dispatch: Dispatch | None) -> int:
    return dispatch.fence if dispatch else 0
