"""Items as answers: what a frontend sees of a project, its current run, and its place in the queue."""

from __future__ import annotations

from typing import Any

from penstock_api.domain.stages import CatalogStages, snapshot
from penstock_api.domain.views import (
    BoardPlace,
    BoardView,
    Failure,
    ProjectSummary,
    ProjectView,
    QueuePlace,
    RunView,
    WaitView,
)
from penstock_backbone.records.projects import ProjectItem
from penstock_backbone.records.runs import QUEUED, RUNNING, STATUS_OF_STATE, TERMINAL, RunItem, WaitItem
from penstock_backbone.records.times import to_text
from penstock_backbone.records.waits import APPROVAL, SIGNAL, open_waits
from penstock_backbone.vocabulary import Item

STATUSES = tuple(dict.fromkeys(STATUS_OF_STATE.values()))


def status_of(run: RunItem | None) -> str:
    """A project that was accepted a moment ago has no run item yet; it is queued all the same."""
    state = run["state"] if run else QUEUED
    return STATUS_OF_STATE.get(state, state)


def summary(project: ProjectItem, run: RunItem | None) -> ProjectSummary:
    return ProjectSummary(
        id=project["pk"],
        name=project["name"],
        workflow=project["workflow"],
        priority=project["priority"],
        tags=project["tags"],
        status=status_of(run),
        created_at=project["created"],
        run_id=project["run_id"],
    )


def detail(
    project: ProjectItem, run: RunItem | None, board: Item | None, announced: CatalogStages | None, now: int
) -> ProjectView:
    """`now` in ms."""
    status = status_of(run)
    return ProjectView(
        id=project["pk"],
        name=project["name"],
        workflow=project["workflow"],
        priority=project["priority"],
        tags=project["tags"],
        status=status,
        created_at=project["created"],
        run_id=project["run_id"],
        requirement=_requirement(project, run),
        run=run_view(project["run_id"], run, now),
        stages_snapshot=snapshot(run, announced),
        queue=queue_place(project["run_id"], board) if status == STATUS_OF_STATE[QUEUED] else None,
    )


def _requirement(project: ProjectItem, run: RunItem | None) -> str:
    """What its run builds: a retry may have edited it."""
    edited = run.get("edited", {}) if run else {}
    return edited.get("requirement", project["requirement"])


def run_view(run_id: str, run: RunItem | None, now: int) -> RunView:
    ended = run["facts"][str(run["seq"])] if run and run["state"] in TERMINAL else None
    return RunView(
        id=run_id,
        state=run["state"] if run else QUEUED,
        # A run that rests, or was handed back, has given the attempt of its last claim back.
        attempt=max(run["attempt"], int("started_at" in run)) if run else 0,
        cancel_requested=run is not None and run["state"] == RUNNING and "cancel" in run,
        pause_requested=run is not None and run["state"] == RUNNING and "pause" in run,
        waits=[_wait_view(*each) for each in open_waits(run, now)] if run and ended is None else [],
        workflow_version=run.get("version") if run else None,
        queued_at=to_text(run["facts"]["2"]["at"]) if run else None,
        started_at=to_text(run["started_at"]) if run and "started_at" in run else None,
        ended_at=to_text(ended["at"]) if ended else None,
        duration_ms=ended["d"].get("duration_ms") if ended else None,
        error=_failure(ended["t"], ended["d"]) if ended else None,
    )


def _wait_view(stage: str, key: str, wait: WaitItem) -> WaitView:
    about, kind = wait.get("q"), wait["k"]
    return WaitView(
        stage=stage,
        wait=key,
        kind=kind,
        signal=about if kind == SIGNAL else None,
        question=about if kind == APPROVAL else None,
        since=to_text(wait["at"]),
        until=to_text(wait["until"]) if "until" in wait else None,
    )


def queue_place(run_id: str, board: Item | None) -> QueuePlace:
    if board is None:
        return QueuePlace(position=None, waiting=None, as_of=None)
    places: list[str] = board["places"]
    position = places.index(run_id) + 1 if run_id in places else None
    return QueuePlace(position=position, waiting=board["waiting"], as_of=to_text(board["at"]))


def board_view(board: Item | None) -> BoardView:
    if board is None:
        return BoardView(waiting=None, held=None, places=[], as_of=None)
    places = [BoardPlace(position=number, run_id=run_id) for number, run_id in enumerate(board["places"], start=1)]
    return BoardView(waiting=board["waiting"], held=board["held"], places=places, as_of=to_text(board["at"]))


def _failure(kind: str, data: dict[str, Any]) -> Failure | None:
    match kind:
        case "RunFailed":
            return Failure(error=data["error"], message=data["message"], stage=data.get("stage"))
        case "RunCancelled":
            return Failure(error="Cancelled", message=data["reason"])
        case "RunTimedOut":
            seconds = data["timeout_ms"] / 1000
            return Failure(
                error="RunTimedOut", message=f"It took longer than the {seconds:g} s that its workflow allows."
            )
        case _:
            return None
