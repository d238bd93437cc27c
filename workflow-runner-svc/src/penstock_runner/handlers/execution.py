"""Carries one claimed run through its stages, each result checkpointed in one write with the start of what follows."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, assert_never

from penstock_backbone.errors import BlobCorrupt, BlobMissing
from penstock_backbone.records.runs import CANCELLED, FAILED, PAUSED, SUCCEEDED, TIMED_OUT, WAITING, RunItem, fact
from penstock_runner.authoring import HERE_SECONDS, RunFailure, Stage
from penstock_runner.domain.failing import StoryFull, failing
from penstock_runner.domain.given import input_problem
from penstock_runner.domain.plan import GiveUp, after_failure
from penstock_runner.handlers.failure_hook import tell
from penstock_runner.handlers.fan_out import Again, Ended, FanOut
from penstock_runner.handlers.journal import STOPPED, YIELDED, CancelAsked, Journal, NotAtRest, RunEnded, RunLost
from penstock_runner.handlers.letting_go import end, let_go
from penstock_runner.handlers.outcomes import Failed, Succeeded, Suspended
from penstock_runner.handlers.stage import Attempt, ClaimedRun
from penstock_runner.handlers.telling import Teller

_log = logging.getLogger(__name__)


class Execution:
    """A run under one claim. Each of its branches is one task, which follows one stage after another; where a
    stage lets several others start, the branch goes on with the first, and the others get branches of their own.
    A run of stages in a row is therefore one task. When no branch is left and the run is not over, it rests.
    """

    def __init__(
        self, claimed: ClaimedRun, journal: Journal, run: RunItem, on_closed: Callable[[Execution], None]
    ) -> None:
        """`run` is the image that was claimed: what stood there before this claim."""
        self._claimed = replace(claimed, leave_behind=self._leave_behind)
        self._journal = journal
        self._run = run
        self._on_closed = on_closed
        self._finished = claimed.plan.finished(run["results"])
        self._active: set[str] = set()
        self._branches: dict[asyncio.Task[None], str] = {}
        self._left_behind: set[str] = set()
        self._abandoned: set[asyncio.Task[None]] = set()
        self._teller = Teller(claimed, run)
        self._draining = False
        self._pausing: str | None = None
        self._yielding = False
        self._failing = False
        self._ending = False
        self._cancelling = False
        self._stopped = False
        self._may_go_on = False
        self._handed_back = False
        self._closed = False
        self.key = (claimed.run_id, journal.fence)
        self.session = journal.session
        self.deadline = self._teller.deadline()

    def start(self) -> None:
        self._journal.heard = self.heard
        if self._draining:
            self._branch(self._rest)
            return
        if self.deadline <= self._claimed.world.clock.monotonic():
            self.expire()
            return
        if self.deadline < float("inf"):
            self._claimed.watchdog.watch(self)
        self._branch(self._begin)

    def stop(self) -> None:
        """Whatever it does, wherever it waits. Nothing is written down: the run's next owner resumes it."""
        self._stopped = True
        for branch in list(self._branches):
            end(branch)

    def drain(self) -> None:
        """Nothing new is begun: each branch ends at its next checkpoint, and then, stopped or not, the run is handed back."""
        self._draining = True
        self._claimed.stopping.set()

    def look(self, run: RunItem) -> None:
        """The run as it stood a moment ago. What the journal has written or followed since is newer."""
        if run["seq"] > self._journal.seq:
            self.heard(run)
        elif not self._claimed.stopping.is_set():
            self._go_on_beside()

    def heard(self, run: RunItem) -> None:
        """What others have added to the run, as it stands now."""
        if "cancel" in run:
            self.cancel(run["cancel"])
            return
        self._claimed.waiting.see(run)
        self._pausing = run.get("pause")
        self._yielding = "yielding" in run
        if self._pausing is not None or self._yielding:
            self._claimed.stopping.set()
        elif not self._draining:
            self._claimed.stopping.clear()
            self._go_on_beside()

    def cancel(self, reason: str) -> None:
        """Somebody asked for it: what runs is stopped first, because the end of the run frees its slot."""
        self._cancelling = self._cancelling or not self._ending
        self._end_early(self._end_cancelled, reason)

    def expire(self) -> None:
        """The time that its workflow gives a run is over."""
        self._end_early(self._end_timed_out)

    def _end_early(self, work: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        if self._ending or self._journal.ended is not None:
            return
        self._ending = True
        self._branch(work, list(self._branches), *arguments)

    async def _end_cancelled(self, others: list[asyncio.Task[None]], reason: str) -> None:
        await self._let_go(others)
        await self._journal.end(CANCELLED, [fact("RunCancelled", self._teller.now(), reason=reason)], {})

    async def _end_timed_out(self, others: list[asyncio.Task[None]]) -> None:
        await self._let_go(others)
        with contextlib.suppress(BlobMissing, BlobCorrupt):
            await self._claimed.shelf.load(self._run)
        limit = self._claimed.plan.workflow.timeout_seconds
        assert limit is not None
        message = f"the run took longer than the {limit:g} s that its workflow allows"
        await self._tell_hook(RunFailure(None, "RunTimedOut", message))
        timed_out = fact("RunTimedOut", self._teller.now(), timeout_ms=round(limit * 1000))
        await self._journal.end(TIMED_OUT, [timed_out], {})

    async def _let_go(self, branches: list[asyncio.Task[None]]) -> None:
        clock, left_behind = self._claimed.world.clock, self._left_behind
        self._abandoned.update(await let_go(branches, clock, lambda branch: self._branches[branch] in left_behind))
        if self._abandoned:
            _log.warning("Run %s ends while a stage of it will not stop.", self.key[0])

    def _leave_behind(self, stage: Stage, attempt: int, outcome: Failed) -> None:
        """The stage's code ignores the end of its time, so another attempt would run beside it: the run fails. Whatever
        the code still does, nothing of it is written down."""
        if stage.name in self._claimed.plan.stages and not self._ending:
            self._left_behind.add(stage.name)
            self._branch(self._fail_with, stage, attempt, outcome)

    async def _begin(self) -> None:
        try:
            await self._claimed.shelf.load(self._run)
        except (BlobMissing, BlobCorrupt) as error:
            await self._fail("ResultLost", f"The result of a finished stage cannot be read: {error}")
            return
        if (problem := input_problem(self._claimed.plan.workflow, self._claimed.project)) is not None:
            await self._end_failed(RunFailure(None, "InvalidInput", problem))
            return
        if (failure := failing(self._run)) is not None:
            await self._end_failed(failure)
            return
        if len(self._finished) == len(self._claimed.plan.stages):
            await self._journal.end(SUCCEEDED, [self._teller.run_succeeded(self._teller.now())], {})
            return
        self._may_go_on = True
        await self._follow_all(self._claimed.first)

    async def _follow_all(self, stages: Sequence[Stage]) -> None:
        self._active.update(stage.name for stage in stages)
        for stage in stages[1:]:
            self._branch(self._follow, stage)
        if stages:
            await self._follow(stages[0])

    async def _follow(self, stage: Stage) -> None:
        """The stage, and then whatever it alone has let start."""
        branch = asyncio.current_task()
        assert branch is not None
        while True:
            self._active.add(stage.name)
            self._branches[branch] = stage.name
            ended = await (self._one(stage) if stage.each is None else self._each(stage))
            self._active.discard(stage.name)
            if ended is None:
                return
            outcome = ended.outcome
            match outcome:
                case Succeeded():
                    following = await self._complete(stage, ended, outcome)
                    if not following:
                        return
                    for other in following[1:]:
                        self._branch(self._follow, other)
                    stage = following[0]
                case Failed():
                    await self._fail_with(stage, ended.attempt, outcome)
                    return
                case Suspended(waits=key):
                    if key is not None:
                        await self._journal.commit([self._claimed.waiting.told(stage.name, key)], {})
                    return
                case _:
                    assert_never(outcome)

    async def _one(self, stage: Stage) -> Ended | None:
        """The attempts until one succeeds, waits or is the last. None: another one is due, but not here and now."""
        attempt = self._claimed.waiting.attempt(stage.name)
        while True:
            outcome = await Attempt(self._claimed, stage, attempt).run()
            again = await self._again(stage, stage.name, attempt, outcome) if isinstance(outcome, Failed) else "never"
            if again != "now":
                return Ended(outcome, attempt) if again == "never" else None
            attempt += 1

    async def _each(self, stage: Stage) -> Ended | None:
        return await FanOut(self._claimed, self._journal, stage, self._again).run()

    async def _complete(self, stage: Stage, ended: Ended, outcome: Succeeded) -> tuple[Stage, ...]:
        """The checkpoint. Returns the stages that it let start."""
        plan, name = self._claimed.plan, stage.name
        self._finished.add(name)
        self._claimed.shelf.add(name, outcome.output, outcome.artifacts)
        self._claimed.waiting.forget([name])
        at = self._teller.now()
        completed = self._teller.completed(stage, ended, outcome, at)
        results = {name: outcome.stored}
        if len(self._finished) == len(plan.stages):
            await self._journal.end(SUCCEEDED, [completed, self._teller.run_succeeded(at)], results, ended.forget)
            return ()
        following = () if self._claimed.stopping.is_set() else plan.startable_after(name, self._finished)
        self._active.update(other.name for other in following)
        started = [self._teller.started(other.name, 1) for other in following]
        await self._journal.commit([completed, *started], results, ended.forget)
        if self._is_held():
            # Somebody asked while this was written: what was told to start has not begun.
            self._active.difference_update(other.name for other in following)
            return ()
        return following

    def _is_held(self) -> bool:
        """Whether even what was told to start must not begin. A drain that comes meanwhile is no reason: it would be told twice."""
        return self._claimed.stopping.is_set() and (self._pausing is not None or self._yielding)

    async def _again(self, stage: Stage, name: str, attempt: int, outcome: Failed) -> Again:
        """Where another attempt is due: writes the failure down, waits for the back-off, and tells of its start. A long one,
        or one of a run that stops, is not waited for here. `name` is the stage's, or an item's of it."""
        world, stopping = self._claimed.world, self._claimed.stopping
        decision = after_failure(stage, attempt=attempt, final=outcome.final, chance=world.chance.random())
        if isinstance(decision, GiveUp):
            return "never"
        delay = decision.delay_seconds
        if delay > HERE_SECONDS:
            self._claimed.waiting.back_off(name, attempt + 1, delay)
        else:
            self._claimed.waiting.remember(name, attempt + 1)
        await self._journal.commit([self._teller.failed(stage, attempt, outcome, delay)], {})
        if delay <= HERE_SECONDS and not stopping.is_set():
            await world.clock.sleep(delay)
        if delay > HERE_SECONDS or stopping.is_set():
            return "later"
        await self._journal.commit([self._teller.started(stage.name, attempt + 1)], {})
        return "later" if self._is_held() else "now"

    async def _fail_with(self, stage: Stage, attempt: int, outcome: Failed) -> None:
        """The stage has failed for good. Where a hook is to be told, or other stages are to stop, this is written down
        first, so that a run that is lost meanwhile goes on from there, and not with the stage."""
        failed = self._teller.failed(stage, attempt, outcome)
        failure = RunFailure(stage.name, outcome.error, outcome.message)
        if self._claimed.plan.workflow.on_failure is None and len(self._branches) == 1:
            await self._journal.end(FAILED, [failed, self._teller.run_failed(failure)], {})
            return
        if self._failing:
            return
        self._failing, self._may_go_on = True, False
        await self._journal.commit([failed], {})
        await self._end_failed(failure)

    async def _end_failed(self, failure: RunFailure) -> None:
        """Tells the hook, and ends the run. The stages beside it have let go before it is told, and before the end of the
        run frees its slot. A run that somebody cancels meanwhile is cancelled."""
        if self._ending:
            return
        self._failing, self._may_go_on = True, False
        current = asyncio.current_task()
        await self._let_go([branch for branch in self._branches if branch is not current])
        await self._tell_hook(failure)
        await self._journal.end(FAILED, [self._teller.run_failed(failure)], {})

    async def _tell_hook(self, failure: RunFailure) -> None:
        trouble = await tell(self._claimed, failure)
        if trouble is not None:
            _log.warning("Run %s under fence %d: its on_failure failed, too: %s", *self.key, trouble)

    async def _fail(self, error: str, message: str) -> None:
        """For what is not the fault of one stage."""
        await self._journal.end(FAILED, [self._teller.run_failed(RunFailure(None, error, message))], {})

    async def _rest(self) -> None:
        """Nothing of the run is under way, and it is not over: it is paused or handed back, goes on, or waits."""
        self._may_go_on = False
        while True:
            try:
                if self._pausing is not None:
                    await self._journal.rest(PAUSED, fact("RunPaused", self._teller.now(), reason=self._pausing))
                elif self._draining or (self._yielding and self._ready()):
                    self._handed_back = True
                    await self._journal.hand_back(STOPPED if self._draining else YIELDED)
                elif ready := self._ready():
                    self._may_go_on = True
                    await self._begin_again(ready)
                else:
                    await self._journal.rest(WAITING, *self._teller.run_waiting(self._finished))
            except NotAtRest:
                self._handed_back = False
                continue
            return

    def _ready(self) -> list[Stage]:
        """The stages that could be under way and are not."""
        startable = self._claimed.plan.startable(self._finished)
        return [stage for stage in startable if stage.name not in self._active and not self._waits(stage)]

    def _waits(self, stage: Stage) -> bool:
        waiting = self._claimed.waiting
        if stage.each is None:
            return waiting.is_blocked(stage.name)
        names = waiting.items_of(stage.name)
        return bool(names) and all(map(waiting.is_blocked, names))

    async def _begin_again(self, stages: list[Stage]) -> None:
        self._active.update(stage.name for stage in stages)
        attempt = self._claimed.waiting.attempt
        await self._journal.commit([self._teller.started(stage.name, attempt(stage.name)) for stage in stages], {})
        await self._follow_all(stages)

    def _go_on_beside(self) -> None:
        """While something is under way: what waits no longer goes on beside it."""
        if not self._may_go_on or not self._branches or self._ending or self._journal.ended is not None:
            return
        if ready := self._ready():
            self._active.update(stage.name for stage in ready)
            self._branch(self._begin_again, ready)

    def _branch(self, work: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        task = asyncio.create_task(self._guard(work, *arguments))
        self._branches[task] = ""
        task.add_done_callback(self._branch_is_over)

    async def _guard(self, work: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """The end of the run, and its loss, end all its branches."""
        try:
            await work(*arguments)
        except RunEnded:
            pass
        except StoryFull as full:
            self._branch(self._end_failed, full.failure)
        except CancelAsked as asked:
            # The journal writes no other end any more: that by time gives way. An end by cancelling that is itself over, or
            # was stopped, begins anew.
            self._ending = self._cancelling and not self._stopped and work != self._end_cancelled
            self.cancel(str(asked))
        except RunLost as lost:
            _log.info("Run %s under fence %d was lost: %s.", *self.key, lost)
            self.stop()
        except Exception as error:  # noqa: BLE001  # nobody else waits for this task
            _log.exception("Run %s under fence %d cannot go on.", *self.key)
            await self._give_up(error)
        if self._journal.ended is not None:
            self.stop()

    async def _give_up(self, error: Exception) -> None:
        """Something that must not happen has. When even this cannot be written, the session goes, so that others may try."""
        try:
            await self._fail(type(error).__name__, f"The runner could not go on with this run: {error}")
        except RunLost:
            self.stop()
        except Exception:  # noqa: BLE001  # nobody else waits for this task
            _log.exception("Run %s under fence %d cannot even be ended.", *self.key)
            self.session.fence("a run could not be written")

    def _branch_is_over(self, task: asyncio.Task[None]) -> None:
        del self._branches[task]
        if not self._abandoned.issuperset(self._branches):
            return
        over = self._journal.ended is not None or self.session.fenced or self._handed_back
        if over or (self._stopped and not self._draining):
            self._close()
        elif not self._branches:
            self._branch(self._rest)

    def _close(self) -> None:
        """At once where all that is left of it are stages that will not stop."""
        if self._closed:
            return
        self._closed = True
        self._claimed.watchdog.release(self)
        self._claimed.progress.stop()
        self._teller.record_span(self._journal)
        self._on_closed(self)
