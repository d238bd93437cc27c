"""Folds the events of a replayed run into when it held a slot, how it ended, and what it says that it consumed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

ENDS = frozenset({"RunSucceeded", "RunFailed", "RunCancelled", "RunTimedOut"})


@dataclass(slots=True)
class Story:
    """Times in seconds since 1970. `error` "": it succeeded. `ended` False: there is more to come."""

    created: float = 0.0
    queued: float = 0.0
    holds: list[tuple[float, float]] = field(default_factory=list)
    usage: Counter[str] = field(default_factory=Counter)
    ended: bool = False
    error: str = ""


def read(events: Sequence[Mapping[str, Any]]) -> Story:
    """`events` in their order, from the first on."""
    story = Story()
    held_since: float | None = None
    for event in events:
        kind, data = event["metadata"]["type"], event["data"]
        at = datetime.fromisoformat(event["metadata"]["occurred_at"]).timestamp()
        if kind == "ProjectCreated":
            story.created = at
        elif kind == "RunQueued":
            story.queued = at
        elif kind == "RunAdmitted":
            held_since = at
        elif kind in ENDS or kind == "RunRequeued":
            if held_since is not None:
                story.holds.append((held_since, at))
            held_since = None
        if kind in ENDS:
            story.ended = True
            story.error = "" if kind == "RunSucceeded" else data.get("message") or data.get("reason") or kind
        for name, amount in (data.get("usage") or {}).items():
            story.usage[name] += amount or 0
    return story
