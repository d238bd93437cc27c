"""What the messages of the admission queue ask to look at. None of them is an order."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from penstock_backbone.inventory import RUN_ENDED
from penstock_backbone.vocabulary import Outgoing

LOOK_AT_LIMITS = "limits"


@dataclass(slots=True)
class Hints:
    """Sets of ids, so that repeated hints cost nothing. `limits`: they may have changed. `everything`: read it all again."""

    projects: set[str] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)
    limits: bool = False
    everything: bool = False

    def __bool__(self) -> bool:
        return bool(self.projects or self.runs or self.limits or self.everything)

    def merge(self, other: Hints) -> None:
        self.projects |= other.projects
        self.runs |= other.runs
        self.limits |= other.limits
        self.everything |= other.everything


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
    if message.detail_type == "ProjectCreated":
        return Hints(projects={metadata.project_id})
    return Hints(runs={metadata.run_id} if message.detail_type in RUN_ENDED else set())


def limits_changed() -> Outgoing:
    return Outgoing(msgspec.json.encode({"look": LOOK_AT_LIMITS}).decode())
