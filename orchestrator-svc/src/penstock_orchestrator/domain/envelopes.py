"""Events for the bus made from the items as they stand: the item is the truth, the event only repeats it.

Built by hand because every fact of every run passes here; the tests read the result with penstock_events.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from penstock_backbone.inventory import EVENT_SOURCE, PROJECTS, RUNS
from penstock_backbone.records.projects import PROJECT_SK, as_project
from penstock_backbone.records.runs import RUN_SK, as_run
from penstock_backbone.records.times import to_text
from penstock_backbone.vocabulary import BusEntry, Item, StreamRecord
from penstock_events.codec import EventTooLarge
from penstock_events.envelope import EVENT_BYTES_MAX, event_id
from penstock_events.facts import FACTS

VERSIONS: Mapping[str, int] = {name: model.version for name, model in FACTS.items()}
VERSION_OF_UNKNOWN = 1
"""A fact of a newer writer passes through as it is."""
PROJECT_CREATED = "ProjectCreated"


class _Metadata(msgspec.Struct, frozen=True):
    """In the order of penstock_events.envelope.Metadata."""

    event_id: str
    type: str
    version: int
    tenant: str
    project_id: str
    run_id: str
    sequence: int
    occurred_at: str
    cause_id: str | None
    traceparent: str | None


class _Envelope(msgspec.Struct, frozen=True):
    metadata: _Metadata
    data: dict[str, Any]


_encoder = msgspec.json.Encoder()


def entries_of(record: StreamRecord) -> list[BusEntry]:
    """What this change adds to the story, in order; nothing for items that tell no story. Raises on a damaged item."""
    item = record.item
    if item is None:
        return []
    if record.key.table == PROJECTS and record.key.sk == PROJECT_SK:
        return [_project_created(item)]
    if record.key.table == RUNS and record.key.sk == RUN_SK:
        return _new_facts(item)
    return []


def _project_created(item: Item) -> BusEntry:
    project = as_project(item)
    data: dict[str, Any] = {
        "name": project["name"], "workflow": project["workflow"], "priority": project["priority"],
        "tags": project["tags"],
    }  # fmt: skip
    return _entry(
        PROJECT_CREATED,
        data,
        tenant=project["tenant"],
        project=project["pk"],
        run=project["run_id"],
        sequence=1,
        at=project["at"],
        traceparent=project.get("traceparent"),
    )


def _new_facts(item: Item) -> list[BusEntry]:
    run = as_run(item)
    entries = []
    for sequence in range(run["since"], run["seq"] + 1):
        fact = run["facts"][str(sequence)]
        entries.append(
            _entry(
                fact["t"],
                fact["d"],
                tenant=run["tenant"],
                project=run["project_id"],
                run=run["pk"],
                sequence=sequence,
                at=fact["at"],
                traceparent=run.get("traceparent"),
            )
        )
    return entries


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    """The text of a time up to its milliseconds: most facts share it, and formatting was a third of their cost."""
    return to_text(seconds * 1000).removesuffix("000Z")


def _entry(
    kind: str,
    data: dict[str, Any],
    *,
    tenant: str,
    project: str,
    run: str,
    sequence: int,
    at: int,
    traceparent: str | None,
) -> BusEntry:
    metadata = _Metadata(
        event_id=event_id(run, sequence),
        type=kind,
        version=VERSIONS.get(kind, VERSION_OF_UNKNOWN),
        tenant=tenant,
        project_id=project,
        run_id=run,
        sequence=sequence,
        occurred_at=f"{_second(at // 1000)}{at % 1000:03d}Z",
        cause_id=event_id(run, sequence - 1) if sequence > 1 else None,
        traceparent=traceparent,
    )
    detail = _encoder.encode(_Envelope(metadata, data))
    if len(detail) > EVENT_BYTES_MAX:
        raise EventTooLarge(f"{kind} of {run} is over {EVENT_BYTES_MAX} bytes")
    return BusEntry(EVENT_SOURCE, kind, detail.decode())
