"""Carries one claimed run through its stages, each result checkpointed in one write with the start of what follows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, assert_never

from penstock_backbone.errors import BlobCorrupt, BlobMissing
from penstock_backbone.records.runs import FAILED, MESSAGE_CHARS_MAX, SUCCEEDED, FactItem, RunItem, fact
from penstock_backbone.records.times import to_ms
from penstock_runner.authoring import Stage
from penstock_runner.domain.plan import GiveUp, TryAgain, after_failure
from penstock_runner.handlers.journal import Journal, RunEnded, RunLost
from penstock_runner.handlers.stage import Attempt, ClaimedRun, Failed, Succeeded, to_nanoseconds

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
        self._finished = set(run["results"])
        self._branches: dict[asyncio.Task[None], None] = {}
        self._claimed_at = claimed.world.clock.monotonic()
        self._draining = False
        self.key = (claimed.run_id, journal.fence)
        self.session = journal.session

    def start(self) -> None:
        self._branch(self._begin)

    def stop(self) -> None:
        """Whatever it does, wherever it waits. Nothing is written down: the run's next owner resumes it."""
        for branch in list(self._branches):
            branch.cancel()

    def drain(self) -> None:
        """Nothing new is begun: each branch ends at its next checkpoint."""
        self._draining = True

    async def _begin(self) -> None:
        if self._run["results"]:
            try:
                await self._claimed.shelf.load(self._run)
            except (BlobMissing, BlobCorrupt) as error:
                await self._fail("ResultLost", f"The result of a finished stage cannot be read: {error}")
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
        attempt = 1
        while True:
            outcome = await Attempt(self._claimed, stage, attempt).run()
            match outcome:
                case Succeeded():
                    following = await self._complete(stage, attempt, outcome)
                    if not following:
                        return
                    for other in following[1:]:
                        self._branch(self._follow, other)
                    stage, attempt = following[0], 1
                case Failed():
                    if not await self._may_try_again(stage, attempt, outcome):
                        return
                    attempt += 1
                case _:
                    assert_never(outcome)

    async def _complete(self, stage: Stage, attempt: int, outcome: Succeeded) -> tuple[Stage, ...]:
        """The checkpoint. Returns the stages that it let start."""
        plan = self._claimed.plan
        name = stage.name
        self._finished.add(name)
        self._claimed.shelf.add(name, outcome.output, outcome.artifacts)
        at = self._now()
        completed = fact(
            "StageCompleted", at, stage=name, attempt=attempt, duration_ms=outcome.duration_ms,
            output_bytes=len(outcome.output), usage=outcome.usage,
        )  # fmt: skip
        results = {name: outcome.stored}
        if len(self._finished) == len(plan.stages):
            await self._journal.end(SUCCEEDED, [completed, self._succeeded(at)], results)
            return ()
        following = () if self._draining else plan.startable_after(name, self._finished)
        started = [fact("StageStarted", at, stage=other.name, attempt=1) for other in following]
        await self._journal.commit([completed, *started], results)
        return following

    async def _may_try_again(self, stage: Stage, attempt: int, outcome: Failed) -> bool:
        """Writes the failure down, and waits for the back-off where another attempt is due."""
        world = self._claimed.world
        decision = after_failure(stage, attempt=attempt, final=outcome.final, chance=world.chance.random())
        at = self._now()
        failure: dict[str, Any] = {
            "stage": stage.name, "attempt": attempt, "duration_ms": outcome.duration_ms,
            "error": outcome.error, "message": outcome.message,
        }  # fmt: skip
        match decision:
            case GiveUp():
                failed = fact("StageFailed", at, **failure, final=True)
                ended = fact("RunFailed", at, stage=stage.name, error=outcome.error, message=outcome.message)
                await self._journal.end(FAILED, [failed, ended], {})
                return False
            case TryAgain(delay_seconds=delay):
                failed = fact("StageFailed", at, **failure, final=False, retry_in_ms=round(delay * 1000))
                await self._journal.commit([failed], {})
                if self._draining:
                    return False
                await world.clock.sleep(delay)
                await self._journal.commit(
                    [fact("StageStarted", self._now(), stage=stage.name, attempt=attempt + 1)], {}
                )
                return True
            case _:
                assert_never(decision)

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
        if not self._branches:
            self._close()

    def _close(self) -> None:
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
