"""What each stage of a run is doing, told from the run's facts alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from penstock_api.domain.views import Failure, StageProgress, StagesSnapshot, StageStatus, StageUsage, StageView
from penstock_backbone.records.runs import TERMINAL, FactItem, RunItem, story
from penstock_backbone.records.times import to_text

CatalogStages = Sequence[Mapping[str, str]]
"""[{name, title}] as the runners announced the workflow."""


@dataclass(slots=True)
class _Stage:
    name: str
    status: StageStatus = "pending"
    attempt: int = 0
    started_at: int | None = None
    completed_at: int | None = None
    duration_ms: int | None = None
    error: Failure | None = None
    usage: StageUsage | None = None

    def start(self, at: int, attempt: int) -> None:
        self.status, self.started_at, self.attempt = "running", at, attempt
        self.duration_ms = self.error = None

    def complete(self, at: int, data: Mapping[str, Any]) -> None:
        self.status, self.completed_at = "completed", at
        self.duration_ms = data["duration_ms"]
        self.spend(data.get("usage"))

    def fail(self, data: Mapping[str, Any]) -> None:
        self.status = "failed" if data["final"] else "retrying"
        self.duration_ms = data["duration_ms"]
        self.spend(data.get("usage"))
        self.error = Failure(error=data["error"], message=data["message"], stage=self.name)

    def spend(self, usage: Mapping[str, int] | None) -> None:
        """Adds up over all attempts; what was never measured stays absent."""
        if not usage:
            return
        before = self.usage or StageUsage()
        sums = {
            name: (getattr(before, name) or 0) + (usage.get(name) or 0)
            for name in StageUsage.__struct_fields__
            if getattr(before, name) is not None or usage.get(name) is not None
        }
        self.usage = StageUsage(**sums)

    def rest(self) -> None:
        """Nothing of the run is under way: it waits, or its back-off is a long one."""
        if self.status == "running":
            self.status = "waiting"

    def interrupt(self) -> None:
        """Its runner was lost: it will begin again."""
        if self.status in ("running", "retrying"):
            self.renew()

    def renew(self) -> None:
        """It will begin anew, whatever it has come to."""
        self.status, self.started_at, self.completed_at, self.duration_ms = "pending", None, None, None
        self.error = None

    def end(self) -> None:
        """The run has ended without it."""
        if self.status in ("running", "retrying", "waiting"):
            self.status = "cancelled"
        elif self.status == "pending":
            self.status = "skipped"


@dataclass(slots=True)
class _Stages:
    """In the order in which the workflow lists them."""

    known: bool = False
    by_name: dict[str, _Stage] = field(default_factory=dict)

    def list(self, names: Iterable[str]) -> None:
        self.known = True
        for name in names:
            self.named(name)

    def named(self, name: str) -> _Stage:
        return self.by_name.setdefault(name, _Stage(name))

    def apply(self, entry: FactItem) -> None:
        """A fact of a type that says nothing about stages is passed over."""
        at, data = entry["at"], entry["d"]
        match entry["t"]:
            case "StageStarted":
                self.named(data["stage"]).start(at, data["attempt"])
            case "StageCompleted":
                self.named(data["stage"]).complete(at, data)
            case "StageFailed":
                self.named(data["stage"]).fail(data)
            case "StageWaiting":
                # Of an item of a list: its stage goes on with the others.
                if "." not in data["stage"]:
                    self.named(data["stage"]).status = "waiting"
            case "RunWaiting":
                # Where items of a list wait, nothing else has said so of their stage.
                for name in data["stages"]:
                    self.named(name).rest()
            case kind:
                self._apply_to_all(kind, data)

    def _apply_to_all(self, kind: str, data: Mapping[str, Any]) -> None:
        match kind:
            case "RunStarted":
                self.list(data["stages"])
                for name in data.get("cleared", ()):
                    self.named(name).renew()
            case "RunRequeued" | "RunPaused":
                for stage in self.by_name.values():
                    stage.interrupt()
            case "RunRetried":
                for stage in self.by_name.values():
                    if stage.status != "completed":
                        stage.renew()
            case "RunFailed" | "RunCancelled" | "RunTimedOut":
                for stage in self.by_name.values():
                    stage.end()


def snapshot(run: RunItem | None, announced: CatalogStages | None) -> StagesSnapshot:
    """`announced` gives titles, and the stages of a run that has not begun; None: no runner knows this workflow."""
    stages = _Stages()
    for _, entry in story(run) if run else ():
        stages.apply(entry)
    for name, usage in (run.get("spent") or {}).items() if run else ():
        stages.named(name).spend(usage)
    if not stages.known and announced is not None:
        stages.list(stage["name"] for stage in announced)
        if run and run["state"] in TERMINAL:
            for stage in stages.by_name.values():
                stage.end()
    titles = {stage["name"]: stage.get("title") or None for stage in announced or ()}
    came = (run.get("progress") or {}) if run else {}
    views = [_view(stage, titles.get(stage.name), came.get(stage.name)) for stage in stages.by_name.values()]
    completed = sum(view.status == "completed" for view in views)
    return StagesSnapshot(total=len(views) if stages.known or views else None, completed=completed, stages=views)


def _view(stage: _Stage, title: str | None, came: Sequence[Any] | None) -> StageView:
    """`came` outlives its attempt until the next write, so it counts only while the stage runs."""
    running = stage.status in ("running", "retrying")
    return StageView(
        name=stage.name,
        title=title,
        status=stage.status,
        attempt=stage.attempt,
        started_at=_text(stage.started_at),
        completed_at=_text(stage.completed_at),
        duration_ms=stage.duration_ms,
        error=stage.error,
        usage=stage.usage,
        progress=_progress(*came) if came and running else None,
    )


def _progress(thousandths: int | None, line: str) -> StageProgress:
    return StageProgress(fraction=None if thousandths is None else thousandths / 1000, line=line)


def _text(at: int | None) -> str | None:
    return to_text(at) if at is not None else None
