"""The story of a run as event envelopes: fact 1 is the project's item, the others stand in the run's item."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from penstock_api.domain.views import EventEnvelope, EventMetadata
from penstock_backbone.records.projects import ProjectItem
from penstock_backbone.records.runs import TERMINAL, FactItem, RunItem, fact, story
from penstock_backbone.records.times import to_text
from penstock_events.envelope import event_id
from penstock_events.facts import FACTS

_encode = msgspec.json.Encoder().encode


def envelopes(project: ProjectItem, run: RunItem | None, after: int) -> Iterator[EventEnvelope]:
    """Everything beyond sequence `after`, in order."""
    if after < 1:
        yield _envelope(project, 1, _created(project))
    if run:
        for sequence, entry in story(run, after):
            yield _envelope(project, sequence, entry)


def frame(envelope: EventEnvelope) -> bytes:
    """As it is pushed: JSON on one line."""
    return _encode(envelope)


def progress_frame(run: RunItem) -> bytes:
    """What the running stages said last of how far they have come: {"run_id", "stages": {stage: {fraction, line}}}."""
    stages = {
        name: {"fraction": None if thousandths is None else thousandths / 1000, "line": line}
        for name, (thousandths, line) in (run.get("progress") or {}).items()
    }
    return _encode({"run_id": run["pk"], "stages": stages})


def last_sequence(run: RunItem | None) -> int:
    return run["seq"] if run else 1


def is_over(run: RunItem | None) -> bool:
    """Nothing will be added to this story."""
    return run is not None and run["state"] in TERMINAL


def _created(project: ProjectItem) -> FactItem:
    return fact(
        "ProjectCreated", project["at"], name=project["name"], workflow=project["workflow"],
        priority=project["priority"], tags=project["tags"],
    )  # fmt: skip


def _envelope(project: ProjectItem, sequence: int, entry: FactItem) -> EventEnvelope:
    model = FACTS.get(entry["t"])
    metadata = EventMetadata(
        event_id=event_id(project["run_id"], sequence),
        type=entry["t"],
        version=model.version if model else 1,
        tenant=project["tenant"],
        project_id=project["pk"],
        run_id=project["run_id"],
        sequence=sequence,
        occurred_at=to_text(entry["at"]),
        cause_id=event_id(project["run_id"], sequence - 1) if sequence > 1 else None,
        traceparent=project.get("traceparent"),
    )
    return EventEnvelope(metadata=metadata, data=entry["d"])
