"""One attempt of one stage: the context its code is given, its time limit, and what comes out as a value."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, NoReturn

from opentelemetry.trace import SpanContext
from pydantic import ValidationError

from penstock_backbone.records.projects import ProjectItem
from penstock_backbone.records.results import StoredArtifact
from penstock_backbone.records.waits import APPROVAL, SIGNAL, SIGNAL_NAME_PATTERN, TIMER
from penstock_events.facts import Artifact
from penstock_runner.authoring import (
    HERE_SECONDS,
    Approval,
    FinalError,
    OutputModel,
    ProjectInput,
    Rejected,
    Stage,
    StageSuspended,
    WaitTimeout,
)
from penstock_runner.domain.items import summed
from penstock_runner.domain.output import outputs_from, text_of
from penstock_runner.domain.plan import Plan
from penstock_runner.domain.raised import end_of, trace_of
from penstock_runner.domain.usage import UsageTotal
from penstock_runner.handlers.letting_go import is_ended
from penstock_runner.handlers.other_projects import OtherProjects
from penstock_runner.handlers.outcomes import (
    AttemptOutcome,
    Failed,
    StageCancelled,
    StageTimeout,
    Succeeded,
    Suspended,
    failed,
)
from penstock_runner.handlers.progress import Progress
from penstock_runner.handlers.shelf import Shelf
from penstock_runner.handlers.stage_log import StageLog
from penstock_runner.handlers.waiting import Waiting, approval_key, signal_key, sleep_key
from penstock_runner.handlers.watchdog import Watchdog
from penstock_runner.ports import Job, JobFailed, World
from penstock_runner.stage_output import finish, speaker

CANCELS_MAX = 2
AGAIN_SECONDS = 2.0
"""For code that is cancelled because its time is over to clean up, before it is cancelled once more, or left behind."""


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """What all attempts of one claimed run share. `first` are the stages whose start the claim has told of. `stopping` is
    set while nothing new is to be begun. `spent`, by stages: what attempts have used that did not come to their end. `leave_behind` is told of an attempt whose code will not end."""

    world: World
    watchdog: Watchdog
    plan: Plan
    first: tuple[Stage, ...]
    run_id: str
    project: ProjectItem
    shelf: Shelf
    others: OtherProjects
    progress: Progress
    waiting: Waiting
    stopping: asyncio.Event
    spent: dict[str, dict[str, int]]
    trace: SpanContext | None
    leave_behind: Callable[[Stage, int, Failed], None] = lambda *_: None


class Given(NamedTuple):
    """What the stage's function takes besides the context. `name` and `key`: where its result stands, and its part
    after `run:` in the idempotency key."""

    name: str
    key: str
    arguments: tuple[Any, ...] = ()


class Attempt:
    """Is the StageContext of the stage's code, the desk of its worker where it is a plain function, and what the
    watchdog ends when it takes too long."""

    __slots__ = (
        "_artifacts", "_asked", "_cancels", "_claimed", "_given", "_log", "_slept", "_stage", "_suspended", "_task",
        "attempt", "deadline", "usage",
    )  # fmt: skip

    def __init__(self, claimed: ClaimedRun, stage: Stage, attempt: int, given: Given | None = None) -> None:
        self._claimed = claimed
        self._stage = stage
        self._given = given or Given(stage.name, stage.name)
        self._log: StageLog | None = None
        self._artifacts: dict[str, StoredArtifact] = {}
        self.usage = UsageTotal()
        self._cancels = 0
        self._slept = self._asked = 0
        self._suspended: Suspended | None = None
        self._task: asyncio.Task[Any] | None = None
        self.attempt = attempt
        self.deadline = 0.0

    # --- what the stage's code sees ---------------------------------------------------------------

    @property
    def run_id(self) -> str:
        return self._claimed.run_id

    @property
    def project_id(self) -> str:
        return self._claimed.project["pk"]

    @property
    def tenant(self) -> str:
        return self._claimed.project["tenant"]

    @property
    def stage(self) -> str:
        return self._stage.name

    @property
    def idempotency_key(self) -> str:
        return f"{self._claimed.run_id}:{self._given.key}"

    @property
    def project(self) -> ProjectInput:
        project = self._claimed.project
        return ProjectInput(
            name=project["name"],
            requirement=project["requirement"],
            tags=tuple(project["tags"]),
            input=project.get("input", "{}"),
        )

    def input_as(self, model: type[OutputModel]) -> OutputModel:
        return model.model_validate_json(self.project.input)

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        if self._log is None:
            self._log = StageLog(self.run_id, self._given.key, self._claimed.world.redact)
        return self._log

    def progress(self, fraction: float | None, line: str = "") -> None:
        if self._given.name == self._stage.name:
            self._claimed.progress.report(self._stage.name, fraction, line)

    def output_of(self, stage: str, model: type[OutputModel]) -> OutputModel:
        """Decoded anew each time, so that it is the same in a run that resumed, and nobody can change it for others."""
        return model.model_validate_json(self.output_text(stage))

    def outputs_of(self, stage: str, model: type[OutputModel]) -> list[OutputModel]:
        return outputs_from(self.output_text(stage), model)

    def output_text(self, stage: str) -> bytes:
        plan = self._claimed.plan
        before = plan.before.get(self._stage.name)
        if before is not None and stage not in before:
            raise FinalError(
                f"Stage {self._stage.name} uses the output of {stage!r:.60} without needing it: add it to needs."
            )
        text = self._claimed.shelf.text_of(stage)
        if text is None:
            raise FinalError(f"Stage {stage!r:.60} has not finished, so it has no output.")
        return text

    async def put_artifact(self, name: str, data: bytes) -> Artifact:
        stored = await self._claimed.shelf.put(name, data)
        self._artifacts[name] = stored
        return Artifact(name=name, size=stored.size, sha256=stored.sha256)

    async def get_artifact(self, name: str, of: str | None = None) -> bytes:
        if of is not None:
            return await self._claimed.others.get(of, name)
        return await self._claimed.shelf.get(name, self._artifacts, tuple(self._claimed.plan.stages))

    async def sleep(self, seconds: float) -> None:
        self._slept += 1
        if seconds <= HERE_SECONDS:
            await self._claimed.world.clock.sleep(max(0.0, seconds))
            return
        key = sleep_key(self._slept)
        self._wait(key, TIMER, seconds)

    async def wait_for(
        self, signal: str, model: type[OutputModel], *, timeout_seconds: float | None = None
    ) -> OutputModel:
        if re.fullmatch(SIGNAL_NAME_PATTERN, signal) is None:
            raise FinalError(f"{signal!r:.60} cannot be the name of a signal: use lower-case letters, digits, - and _.")
        value = self._wait(signal_key(signal), SIGNAL, timeout_seconds, signal)
        if value is None:
            raise WaitTimeout(f"nobody has sent the signal {signal} in time")
        try:
            return model.model_validate_json(value)
        except ValidationError as invalid:
            raise FinalError(f"the value of the signal {signal} does not fit {model.__name__}: {invalid}") from invalid

    async def approve(self, question: str, *, timeout_seconds: float | None = None) -> Approval:
        self._asked += 1
        value = self._wait(approval_key(self._asked), APPROVAL, timeout_seconds, question)
        if value is None:
            raise WaitTimeout(f"nobody has answered in time: {question}")
        answer = Approval.model_validate_json(value)
        if not answer.approved:
            who = f" by {answer.by}" if answer.by else ""
            why = f": {answer.comment}" if answer.comment else ""
            raise Rejected(f"it was rejected{who}{why}")
        return answer

    async def checkpoint(self) -> None:
        if self._claimed.stopping.is_set():
            self._suspend(None)

    def _wait(self, key: str, kind: str, seconds: float | None, about: str = "") -> str | None:
        """The answer; None: the time has passed. Suspends the stage while there is neither."""
        waiting, name = self._claimed.waiting, self._given.name
        waiting.begun(name, key, kind=kind, attempt=self.attempt, seconds=seconds, about=about)
        value = waiting.answer(name, key)
        if value is None and not waiting.is_over(name, key):
            self._suspend(key)
        return value

    def _suspend(self, key: str | None) -> NoReturn:
        self._suspended = Suspended(key)
        raise StageSuspended

    def say(self, level: int, text: str) -> None:
        self.log.log(level, "%s", text)

    # --- how it is run ----------------------------------------------------------------------------

    async def run(self) -> AttemptOutcome:
        """Raises nothing but CancelledError, when the run is being stopped."""
        claimed = self._claimed
        clock = claimed.world.clock
        began = clock.monotonic()
        outcome: AttemptOutcome | None = None
        try:
            text = await self._call()
            outcome = self._suspended or await self._succeeded(text, _milliseconds(clock.monotonic() - began))
        except StageSuspended:
            outcome = self._suspended
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001  # whatever a stage raises is its failure, not ours
            seconds = clock.monotonic() - began
            self._say_where(error)
            outcome = self._suspended or failed(
                error, self._stage, claimed.world.redact, _milliseconds(seconds), self.usage.total
            )
        finally:
            if outcome is None or isinstance(outcome, Suspended):
                self._keep_usage()
            self._record_span(outcome, clock.monotonic() - began)
        assert outcome is not None
        return outcome

    def _say_where(self, error: BaseException) -> None:
        """Into the log: the story holds no tracebacks."""
        if self._suspended is not None or not self.log.isEnabledFor(logging.WARNING):
            return
        if trace := error.trace if isinstance(error, JobFailed) else trace_of(error):
            self.say(logging.WARNING, end_of(self._claimed.world.redact(trace)))

    def _keep_usage(self) -> None:
        """It was cut off, so nobody tells of it: the next attempt of the stage that ends does."""
        spent, name = self._claimed.spent, self._stage.name
        if self.usage.total is not None and name in self._claimed.plan.stages:
            spent[name] = summed([spent.get(name), self.usage.total]) or {}

    def begin(self) -> None:
        """The stage's code begins: from here its time is limited."""
        self.deadline = self._claimed.world.clock.monotonic() + self._stage.timeout_seconds
        self._claimed.watchdog.watch(self)

    def expire(self) -> None:
        """The time is over: the stage's code is cancelled where it waits, and once more when it goes on all the same. If
        not even that ends it, it is left behind."""
        assert self._task is not None
        if self._cancels == CANCELS_MAX:
            error = StageTimeout(
                f"{self._too_long()}, and its code does not end when it is cancelled: let CancelledError pass, or make it "
                "a plain def"
            )
            seconds = self._stage.timeout_seconds + CANCELS_MAX * AGAIN_SECONDS
            ours = failed(error, self._stage, self._claimed.world.redact, _milliseconds(seconds), self.usage.total)
            self._claimed.leave_behind(self._stage, self.attempt, ours)
            return
        self._cancels += 1
        self._task.cancel()
        self.deadline = self._claimed.world.clock.monotonic() + AGAIN_SECONDS
        self._claimed.watchdog.watch(self)

    def _too_long(self) -> str:
        return f"the stage took longer than {self._stage.timeout_seconds:g} s"

    async def _call(self) -> bytes:
        """The JSON text of the result. An attempt that was expired, or is being stopped, stays so, whatever its code
        made of the cancellation."""
        task = self._task = asyncio.current_task()
        assert task is not None
        try:
            if self._stage.name in self._claimed.plan.blocking:
                return await self._claimed.world.workers.run(self._job(), self)
            self.begin()
            return text_of(await self._run_here(), self._stage.output)
        except asyncio.CancelledError:
            raise StageCancelled("the stage's code was cancelled from within") from None
        finally:
            self._claimed.watchdog.release(self)
            self._claimed.progress.forget(self._given.name)
            await self._own_cancels_over(task)
            if is_ended(task):
                raise asyncio.CancelledError
            if self._cancels:
                raise StageTimeout(self._too_long())

    async def _own_cancels_over(self, task: asyncio.Task[Any]) -> None:
        """Ours, and those that the code has asked of its own task: one that it did not wait for comes now, and not while
        its result is written."""
        asked = task.cancelling() > self._cancels and not is_ended(task)
        while task.cancelling():
            task.uncancel()
        if asked:
            with contextlib.suppress(asyncio.CancelledError):
                await self._claimed.world.clock.sleep(0)

    async def _run_here(self) -> object:
        """On the loop. What the code prints meanwhile, in this task, is its log's."""
        run: Any = self._stage.run
        say = partial(self.say, logging.INFO)
        token = speaker.set(say)
        try:
            return await run(self, *self._given.arguments)
        finally:
            speaker.reset(token)
            finish(say)

    def _job(self) -> Job:
        return Job(
            self._stage, self.run_id, self.project_id, self.tenant, self.attempt, self.project, self.idempotency_key,
            self._given.arguments,
        )  # fmt: skip

    async def _succeeded(self, text: bytes, duration_ms: int) -> Succeeded:
        artifacts = tuple(self._artifacts.values())
        kept = self.usage.total if self._given.name != self._stage.name else None
        stored = await self._claimed.shelf.store_result(self._given.name, text, artifacts, kept)
        return Succeeded(text, stored, artifacts, self.usage.total, duration_ms)

    def _record_span(self, outcome: AttemptOutcome | None, seconds: float) -> None:
        """`outcome` None: the attempt was stopped."""
        claimed = self._claimed
        ended = to_nanoseconds(claimed.world.clock.now())
        error = None
        if isinstance(outcome, Failed):
            error = f"{outcome.error}: {outcome.message}"
        elif isinstance(outcome, Suspended):
            error = f"waits: {outcome.waits}" if outcome.waits else "stopped at a checkpoint"
        elif outcome is None:
            error = "stopped"
        claimed.world.telemetry.record(
            self._given.key,
            parent=claimed.trace,
            started_nanoseconds=ended - round(seconds * 1e9),
            ended_nanoseconds=ended,
            attributes={"penstock.run": claimed.run_id, "penstock.stage": self.stage, "penstock.attempt": self.attempt},
            error=error,
        )


def to_nanoseconds(moment: datetime) -> int:
    """Since 1970, to the microsecond."""
    return round(moment.timestamp() * 1e6) * 1000


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
