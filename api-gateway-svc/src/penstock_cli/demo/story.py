"""What a watcher of several projects knows so far: folds their events, and says what changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from penstock_backbone.words import counted

State = Literal["waiting", "running", "succeeded", "failed"]
PLACES_SHOWN_MAX = 20


@dataclass(slots=True)
class Project:
    """One row. `stages` in the workflow's order, known once the run began; `sequence` is that of the last event."""

    name: str
    project_id: str
    run_id: str
    state: State = "waiting"
    position: int | None = None
    stages: tuple[str, ...] = ()
    finished: set[str] = field(default_factory=set)
    current: set[str] = field(default_factory=set)
    attempt: int = 0
    artifacts: int = 0
    error: str = ""
    sequence: int = 0

    @property
    def ended(self) -> bool:
        return self.state in ("succeeded", "failed")

    def apply(self, sequence: int, kind: str, data: Mapping[str, Any]) -> str | None:
        """What a person should read about this event, if anything. An event seen before, or of a new kind, says nothing."""
        if sequence <= self.sequence:
            return None
        self.sequence = sequence
        match kind:
            case "RunStarted":
                return self._start(data)
            case "RunRequeued":
                self.state = "waiting"
                self.current.clear()
                return f"waits again: {data['reason']}"
            case "StageStarted":
                self.current.add(data["stage"])
                return f"{data['stage']} ({len(self.finished) + 1} of {len(self.stages)})"
            case "StageCompleted":
                self.current.discard(data["stage"])
                self.finished.add(data["stage"])
                return None
            case "StageFailed":
                self.current.discard(data["stage"])
                return f"{data['stage']} failed: {data['message']}"
            case "RunSucceeded" | "RunFailed" | "RunCancelled":
                return self._end(kind, data)
            case _:
                return None

    def _start(self, data: Mapping[str, Any]) -> str | None:
        self.state = "running"
        self.position = None
        self.stages = tuple(data["stages"])
        self.attempt = data["attempt"]
        return None if self.attempt == 1 else f"goes on, {len(self.finished)} of {len(self.stages)} stages are finished"

    def _end(self, kind: str, data: Mapping[str, Any]) -> str:
        self.current.clear()
        self.position = None
        if kind == "RunSucceeded":
            self.state = "succeeded"
            self.artifacts = len(data.get("artifacts", ()))
            return f"succeeded with {counted(self.artifacts, 'file')}"
        self.state = "failed"
        self.error = data.get("message") or data.get("reason") or kind
        return f"failed: {self.error}"


@dataclass(slots=True)
class Scene:
    """All rows, in the order of submission."""

    projects: list[Project]

    def take_places(self, places: Sequence[str]) -> str | None:
        """`places` are the waiting runs in their order. Answers the queue in words when it moved."""
        before = self._queue()
        positions = {run_id: position for position, run_id in enumerate(places, start=1)}
        for project in self.projects:
            project.position = positions.get(project.run_id) if project.state == "waiting" else None
        after = self._queue()
        if after == before:
            return None
        if not after:
            return "nobody waits any more"
        return "waiting: " + ", ".join(f"{position} {name}" for position, name in after[:PLACES_SHOWN_MAX])

    def count(self, *states: State) -> int:
        return sum(project.state in states for project in self.projects)

    @property
    def ended(self) -> bool:
        return all(project.ended for project in self.projects)

    def _queue(self) -> list[tuple[int, str]]:
        return sorted((project.position, project.name) for project in self.projects if project.position is not None)
