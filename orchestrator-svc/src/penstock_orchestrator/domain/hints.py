"""What the admission is asked to look at. No hint is an order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from penstock_backbone.inventory import LIMITS, LIMITS_PK, PROJECTS, RUNS, SLOT_FREED, TOKEN_WANTED
from penstock_backbone.records.projects import PROJECT_SK, ProjectItem, as_project
from penstock_backbone.records.runs import PAUSED, QUEUED, RESTING, RUN_SK, TERMINAL, RunItem, as_run
from penstock_backbone.vocabulary import KEY_BYTES_MAX, Outgoing, StreamRecord

LOOK_AT_LIMITS = "limits"


@dataclass(slots=True)
class Hints:
    """By ids, so that repeated hints cost nothing; `projects` with the run that each one was said to have.

    `leaving` are runs that may wait in the line for nothing. `returning` are runs that may need a token again. `limits`:
    they may have changed. `runners`: what they serve has. `everything`: read it all again. `accepted` and `ended` hold items
    as they stood in the tables, so they need not be read once more: projects, which never change, and runs that are over,
    of which judge tells an old image.
    """

    projects: dict[str, str] = field(default_factory=dict)
    runs: set[str] = field(default_factory=set)
    leaving: set[str] = field(default_factory=set)
    returning: set[str] = field(default_factory=set)
    limits: bool = False
    runners: bool = False
    everything: bool = False
    accepted: dict[str, ProjectItem] = field(default_factory=dict)
    ended: dict[str, RunItem] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(
            self.projects
            or self.runs
            or self.leaving
            or self.returning
            or self.limits
            or self.runners
            or self.everything
            or self.accepted
            or self.ended
        )

    def merge(self, other: Hints) -> None:
        self.projects |= other.projects
        self.runs |= other.runs
        self.leaving |= other.leaving
        self.returning |= other.returning
        self.limits |= other.limits
        self.runners |= other.runners
        self.everything |= other.everything
        self.accepted |= other.accepted
        self.ended |= other.ended

    @property
    def items(self) -> int:
        """How many it holds as they stood in the tables."""
        return len(self.accepted) + len(self.ended)

    def meets(self, other: Hints) -> bool:
        """Whether something of it is in the other, too."""
        return bool(
            self.projects.keys() & other.projects.keys()
            or self.runs & other.runs
            or self.leaving & other.leaving
            or self.returning & other.returning
            or (self.limits and other.limits)
        )

    def took_up(self, projects: Iterable[str]) -> None:
        for name in projects:
            self.projects.pop(name, None)
            self.accepted.pop(name, None)

    def forget_all_but_projects(self) -> None:
        for ids in (self.runs, self.leaving, self.returning, self.ended):
            ids.clear()
        self.limits = self.runners = self.everything = False


class _Metadata(msgspec.Struct):
    project_id: str
    run_id: str


class _Detail(msgspec.Struct):
    metadata: _Metadata


class _Body(msgspec.Struct, rename={"detail_type": "detail-type"}):
    """Either an event as a rule delivers it, or `look`, our own word."""

    detail_type: str = ""
    detail: _Detail | None = None
    look: str = ""


_decoder = msgspec.json.Decoder(_Body)


def read_hint(body: str) -> Hints | None:
    """None: not a message that anybody should have sent here. An event that concerns nothing here gives empty hints."""
    try:
        message = _decoder.decode(body)
    except msgspec.MsgspecError:
        return None
    if message.look:
        return Hints(limits=message.look == LOOK_AT_LIMITS)
    if message.detail is None:
        return None
    metadata = message.detail.metadata
    if not all(1 <= len(name.encode()) <= KEY_BYTES_MAX for name in (metadata.project_id, metadata.run_id)):
        # No key: whoever looked for it would fail, and with it everybody whose hints are followed in the same turn.
        return None
    if message.detail_type == "ProjectCreated":
        return Hints(projects={metadata.project_id: metadata.run_id})
    if message.detail_type in TOKEN_WANTED:
        return Hints(returning={metadata.run_id})
    if message.detail_type in ("RunCancelled", "RunPaused"):
        return Hints(leaving={metadata.run_id})
    return Hints(runs={metadata.run_id} if message.detail_type in SLOT_FREED else set())


def glance(records: Iterable[StreamRecord]) -> Hints:
    """What the tables' own records show to be new, over, or back in the line, and whether limits have changed. What a
    record shows half done is left to later ones."""
    hints = Hints()
    for record in records:
        item = record.item
        if item is None:
            continue
        if record.key.table == RUNS and record.key.sk == RUN_SK:
            _glance_at_run(hints, as_run(item))
        elif record.key.table == PROJECTS and record.key.sk == PROJECT_SK:
            hints.accepted[record.key.pk] = as_project(item)
        elif record.key.table == LIMITS and record.key.pk == LIMITS_PK:
            hints.limits = True
    return hints


def _glance_at_run(hints: Hints, run: RunItem) -> None:
    state = run.get("state")
    if state in TERMINAL:
        hints.ended[run["pk"]] = run
    elif state in RESTING:
        (hints.leaving if state == PAUSED else hints.runs).add(run["pk"])
    elif state == QUEUED and "returning" in run:
        hints.returning.add(run["pk"])
    elif state == QUEUED and run.get("fence"):
        hints.runs.add(run["pk"])


def limits_changed() -> Outgoing:
    return Outgoing(msgspec.json.encode({"look": LOOK_AT_LIMITS}).decode())
