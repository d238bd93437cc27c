"""What one claim tells of its stages and its run: their facts, its span, and when the run's time is over."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from penstock_backbone.records.runs import MESSAGE_CHARS_MAX, SUCCEEDED, FactItem, RunItem, fact
from penstock_backbone.records.times import to_ms, to_text
from penstock_runner.authoring import RunFailure, Stage
from penstock_runner.domain.items import summed
from penstock_runner.domain.wording import valid_text
from penstock_runner.handlers.fan_out import Ended
from penstock_runner.handlers.journal import Journal
from penstock_runner.handlers.outcomes import Failed, Succeeded
from penstock_runner.handlers.stage import ClaimedRun, to_nanoseconds


class Teller:
    """`run` is the image that was claimed; the claim is as old as the teller."""

    def __init__(self, claimed: ClaimedRun, run: RunItem) -> None:
        self._claimed = claimed
        self._run = run
        self._claimed_at = claimed.world.clock.monotonic()
        self._claimed_ms = self.now()

    def now(self) -> int:
        return to_ms(self._claimed.world.clock.now())

    def over_at(self) -> int | None:
        """When the run has taken as long as its workflow allows, in ms. None: it may take any time."""
        limit = self._claimed.plan.workflow.timeout_seconds
        since = self._run.get("started_at", self._claimed_ms)
        return None if limit is None else since + round(limit * 1000)

    def started(self, stage: str, attempt: int) -> FactItem:
        return fact("StageStarted", self.now(), stage=stage, attempt=attempt)

    def completed(self, stage: Stage, ended: Ended, outcome: Succeeded, at: int) -> FactItem:
        return fact(
            "StageCompleted", at, stage=stage.name, attempt=ended.attempt, duration_ms=outcome.duration_ms,
            output_bytes=len(outcome.output), usage=self._used(stage, outcome),
        )  # fmt: skip

    def failed(self, stage: Stage, attempt: int, outcome: Failed, retry_in_seconds: float | None = None) -> FactItem:
        """`retry_in_seconds` None: for good."""
        retry_in_ms = None if retry_in_seconds is None else round(retry_in_seconds * 1000)
        told: Mapping[str, Any] = {
            "stage": stage.name, "attempt": attempt, "duration_ms": outcome.duration_ms, "error": outcome.error,
            "message": outcome.message[:MESSAGE_CHARS_MAX], "usage": self._used(stage, outcome),
        }  # fmt: skip
        return fact("StageFailed", self.now(), **told, final=retry_in_ms is None, retry_in_ms=retry_in_ms)

    def _used(self, stage: Stage, outcome: Succeeded | Failed) -> dict[str, int] | None:
        """With what attempts have used that were cut off before."""
        return summed([self._claimed.spent.pop(stage.name, None), outcome.usage])

    def run_failed(self, failure: RunFailure) -> FactItem:
        message = valid_text(failure.message[:MESSAGE_CHARS_MAX])
        return fact("RunFailed", self.now(), stage=failure.stage, error=failure.error, message=message)

    def run_waiting(self, finished: Container[str]) -> tuple[FactItem, int | None]:
        """What is told of it, and when the run goes on by itself: at the latest when its time is over."""
        over_at = self.over_at()
        until = self._claimed.waiting.until([] if over_at is None else [over_at])
        stages = [stage.name for stage in self._claimed.plan.startable(finished)]
        text = None if until is None else to_text(until)
        return fact("RunWaiting", self.now(), stages=stages, until=text), until

    def run_succeeded(self, at: int) -> FactItem:
        """The duration counts from the first start, so only what other runners have done is taken by the wall clock."""
        here = round((self._claimed.world.clock.monotonic() - self._claimed_at) * 1000)
        elsewhere = max(0, at - here - self._run["started_at"]) if "started_at" in self._run else 0
        artifacts = [
            {"name": artifact.name, "size": artifact.size, "sha256": artifact.sha256}
            for artifact in self._claimed.shelf.artifacts(tuple(self._claimed.plan.stages))
        ]
        return fact("RunSucceeded", at, duration_ms=here + elsewhere, artifacts=artifacts)

    def deadline(self) -> float:
        """When its time is over, on the monotonic clock; far away for a workflow without a limit."""
        over_at = self.over_at()
        if over_at is None:
            return float("inf")
        return self._claimed.world.clock.monotonic() + (over_at - self.now()) / 1000

    def record_span(self, journal: Journal) -> None:
        world = self._claimed.world
        ended = to_nanoseconds(world.clock.now())
        state = journal.ended or "stopped"
        world.telemetry.record(
            f"run {self._run['workflow']}",
            parent=self._claimed.trace,
            started_nanoseconds=ended - round((world.clock.monotonic() - self._claimed_at) * 1e9),
            ended_nanoseconds=ended,
            attributes={
                "penstock.run": self._claimed.run_id,
                "penstock.fence": journal.fence,
                "penstock.session": journal.session.id,
            },
            error=None if state == SUCCEEDED else state,
        )
