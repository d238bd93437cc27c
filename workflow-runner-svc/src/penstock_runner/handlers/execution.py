"""Carries one claimed run through its stages, each result checkpointed in one write with the start of what follows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, assert_never

from penstock_backbone.errors import BlobCorrupt, BlobMissing
from penstock_backbone.records.runs import CANCELLED, FAILED, MESSAGE_CHARS_MAX, SUCCEEDED, FactItem, RunItem, fact
from penstock_backbone.records.times import to_ms
from penstock_runner.authoring import RunFailure, Stage
from penstock_runner.domain.failing import failing
from penstock_runner.domain.given import input_problem
from penstock_runner.domain.plan import GiveUp, TryAgain, after_failure
from penstock_runner.handlers.failure_hook import tell
from penstock_runner.handlers.fan_out import Ended, FanOut
from penstock_runner.handlers.journal import CancelAsked, Journal, RunEnded, RunLost
from penstock_runner.handlers.stage import Attempt, ClaimedRun, Failed, Succeeded, to_nanoseconds

CANCEL_SECONDS = 5.0
"""For stages to let go once their run is cancelled."""

_log = logging.getLogger(__name__)


class Execution:
    """A run under one claim. Each of its branches is one task, which follows one stage after another; where a
    stage lets several others start, the branch goes on with the first, and the others get branches of their own.
    A run of stages in a row is therefore one task.
    """

    def __init__(
        self, claimed: ClaimedRun, journal: Journal, run: RunItem, on_closed: Callable[[Execution], None]
    ) -> None:
        """`run` is the image that was claimed: what stood there before this claim."""
        self._claimed = claimed
        self._journal = journal
        self._run = run
        self._on_closed = on_closed
        self._finished = claimed.plan.finished(run["results"])
        self._branches: dict[asyncio.Task[None], None] = {}
        self._claimed_at = claimed.world.clock.monotonic()
        self._draining = False
        self._failing = False
        self._cancelling = False
        self._handed_back = False
        self.key = (claimed.run_id, journal.fence)
        self.session = journal.session

    def start(self) -> None:
        self._branch(self._begin)

    def stop(self) -> None:
        """Whatever it does, wherever it waits. Nothing is written down: the run's next owner resumes it."""
        for branch in list(self._branches):
            branch.cancel()

    def drain(self) -> None:
        """Nothing new is begun: each branch ends at its next checkpoint, and after the last one the run is handed back,
        also when it is stopped before."""
        self._draining = True

    def cancel(self, reason: str) -> None:
        """Somebody asked for it: what runs is stopped first, because the end of the run frees its slot."""
        if self._cancelling or self._journal.ended is not None:
            return
        self._cancelling = True
        self._branch(self._end_cancelled, reason, list(self._branches))

    async def _end_cancelled(self, reason: str, others: list[asyncio.Task[None]]) -> None:
        for branch in others:
            branch.cancel()
        await self._let_go(others)
        await self._journal.end(CANCELLED, [fact("RunCancelled", self._now(), reason=reason)], {})

    async def _let_go(self, branches: list[asyncio.Task[None]]) -> None:
        patience = asyncio.create_task(self._claimed.world.clock.sleep(CANCEL_SECONDS))
        while branches and not patience.done():
            await asyncio.wait([*branches, patience], return_when=asyncio.FIRST_COMPLETED)
            branches = [branch for branch in branches if not branch.done()]
        patience.cancel()
        if branches:
            _log.warning("Run %s is cancelled while a stage of it will not stop.", self.key[0])

    async def _begin(self) -> None:
        if self._run["results"]:
            try:
                await self._claimed.shelf.load(self._run)
            except (BlobMissing, BlobCorrupt) as error:
                await self._fail("ResultLost", f"The result of a finished stage cannot be read: {error}")
                return
        if (problem := input_problem(self._claimed.plan.workflow, self._claimed.project)) is not None:
            await self._fail("InvalidInput", problem)
            return
        if (failure := failing(self._run)) is not None:
            await self._end_failed(failure)
            return
        first = self._claimed.plan.startable(self._finished)
        if not first:
            await self._journal.end(SUCCEEDED, [self._succeeded(self._now())], {})
            return
        for stage in first[1:]:
            self._branch(self._follow, stage)
        await self._follow(first[0])

    async def _follow(self, stage: Stage) -> None:
        """The stage, and then whatever it alone has let start."""
        while True:
            ended = await (self._one(stage) if stage.each is None else self._each(stage))
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
                case _:
                    assert_never(outcome)

    async def _one(self, stage: Stage) -> Ended | None:
        """The stage's attempts until one succeeds or is the last. None: another one is due, and the runner drains."""
        attempt = 1
        while True:
            outcome = await Attempt(self._claimed, stage, attempt).run()
            if isinstance(outcome, Succeeded) or not await self._will_try_again(stage, attempt, outcome):
                return Ended(outcome, attempt)
            if self._draining:
                return None
            attempt += 1

    async def _each(self, stage: Stage) -> Ended | None:
        return await FanOut(self._claimed, self._journal, stage, self._will_try_again, lambda: not self._draining).run()

    async def _complete(self, stage: Stage, ended: Ended, outcome: Succeeded) -> tuple[Stage, ...]:
        """The checkpoint. Returns the stages that it let start."""
        plan = self._claimed.plan
        name = stage.name
        self._finished.add(name)
        self._claimed.shelf.add(name, outcome.output, outcome.artifacts)
        at = self._now()
        completed = fact(
            "StageCompleted", at, stage=name, attempt=ended.attempt, duration_ms=outcome.duration_ms,
            output_bytes=len(outcome.output), usage=outcome.usage,
        )  # fmt: skip
        results = {name: outcome.stored}
        if len(self._finished) == len(plan.stages):
            await self._journal.end(SUCCEEDED, [completed, self._succeeded(at)], results, ended.forget)
            return ()
        following = () if self._draining else plan.startable_after(name, self._finished)
        started = [fact("StageStarted", at, stage=other.name, attempt=1) for other in following]
        await self._journal.commit([completed, *started], results, ended.forget)
        return following

    async def _will_try_again(self, stage: Stage, attempt: int, outcome: Failed) -> bool:
        """Where another attempt is due: writes the failure down, waits for the back-off, and returns True. A runner
        that drains does not wait."""
        world = self._claimed.world
        decision = after_failure(stage, attempt=attempt, final=outcome.final, chance=world.chance.random())
        match decision:
            case GiveUp():
                return False
            case TryAgain(delay_seconds=delay):
                failed = fact(
                    "StageFailed", self._now(), **_told(stage, attempt, outcome), final=False,
                    retry_in_ms=round(delay * 1000),
                )  # fmt: skip
                await self._journal.commit([failed], {})
                if not self._draining:
                    await world.clock.sleep(delay)
                    started = fact("StageStarted", self._now(), stage=stage.name, attempt=attempt + 1)
                    await self._journal.commit([started], {})
                return True
            case _:
                assert_never(decision)

    async def _fail_with(self, stage: Stage, attempt: int, outcome: Failed) -> None:
        """The stage has failed for good. With a hook this is written down before the hook is called, so that a run
        that is lost meanwhile goes on with the hook, and not with the stage."""
        failed = fact("StageFailed", self._now(), **_told(stage, attempt, outcome), final=True)
        failure = RunFailure(stage.name, outcome.error, outcome.message)
        if self._claimed.plan.workflow.on_failure is None:
            await self._journal.end(FAILED, [failed, self._failed(failure)], {})
            return
        if self._failing:
            return
        self._failing = True
        await self._journal.commit([failed], {})
        await self._end_failed(failure)

    async def _end_failed(self, failure: RunFailure) -> None:
        """Tells the hook, and ends the run. The stages beside it stop before it is told. A run that somebody cancels
        meanwhile is cancelled."""
        if self._cancelling:
            return
        current = asyncio.current_task()
        for branch in list(self._branches):
            if branch is not current:
                branch.cancel()
        trouble = await tell(self._claimed, failure)
        if trouble is not None:
            _log.warning("Run %s under fence %d: its on_failure failed, too: %s", *self.key, trouble)
        await self._journal.end(FAILED, [self._failed(failure)], {})

    def _failed(self, failure: RunFailure) -> FactItem:
        return fact("RunFailed", self._now(), stage=failure.stage, error=failure.error, message=failure.message)

    def _succeeded(self, at: int) -> FactItem:
        """The duration counts from the first start, so only what other runners have done is taken by the wall clock."""
        here = round((self._claimed.world.clock.monotonic() - self._claimed_at) * 1000)
        elsewhere = max(0, at - here - self._run["started_at"]) if "started_at" in self._run else 0
        artifacts = [
            {"name": artifact.name, "size": artifact.size, "sha256": artifact.sha256}
            for artifact in self._claimed.shelf.artifacts(tuple(self._claimed.plan.stages))
        ]
        return fact("RunSucceeded", at, duration_ms=here + elsewhere, artifacts=artifacts)

    async def _fail(self, error: str, message: str) -> None:
        """For what is not the fault of one stage."""
        await self._journal.end(
            FAILED, [fact("RunFailed", self._now(), error=error, message=message[:MESSAGE_CHARS_MAX])], {}
        )

    # --- branches -----------------------------------------------------------------------------------

    def _branch(self, work: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        task = asyncio.create_task(self._guard(work, *arguments))
        self._branches[task] = None
        task.add_done_callback(self._branch_is_over)

    async def _guard(self, work: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """The end of the run, and its loss, end all its branches."""
        try:
            await work(*arguments)
        except RunEnded:
            pass
        except CancelAsked as asked:
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
        """Something that must not happen has happened. When even this cannot be written, the session goes: a
        session that lives would keep the run from everybody else."""
        try:
            await self._fail(type(error).__name__, f"The runner could not go on with this run: {error}")
        except RunLost:
            self.stop()
        except Exception:  # noqa: BLE001  # as above
            _log.exception("Run %s under fence %d cannot even be ended.", *self.key)
            self.session.fence("a run could not be written")

    def _branch_is_over(self, task: asyncio.Task[None]) -> None:
        del self._branches[task]
        if self._branches:
            return
        if self._draining and not self._handed_back and self._journal.ended is None and not self.session.fenced:
            self._handed_back = True
            self._branch(self._journal.hand_back)
        else:
            self._close()

    def _close(self) -> None:
        self._claimed.progress.stop()
        self._record_span()
        self._on_closed(self)

    def _record_span(self) -> None:
        world = self._claimed.world
        ended = to_nanoseconds(world.clock.now())
        state = self._journal.ended or "stopped"
        world.telemetry.record(
            f"run {self._run['workflow']}",
            parent=self._claimed.trace,
            started_nanoseconds=ended - round((world.clock.monotonic() - self._claimed_at) * 1e9),
            ended_nanoseconds=ended,
            attributes={
                "penstock.run": self.key[0],
                "penstock.fence": self.key[1],
                "penstock.session": self.session.id,
            },
            error=None if state == SUCCEEDED else state,
        )

    def _now(self) -> int:
        return to_ms(self._claimed.world.clock.now())


def _told(stage: Stage, attempt: int, outcome: Failed) -> dict[str, Any]:
    return {
        "stage": stage.name, "attempt": attempt, "duration_ms": outcome.duration_ms,
        "error": outcome.error, "message": outcome.message[:MESSAGE_CHARS_MAX], "usage": outcome.usage,
    }  # fmt: skip
