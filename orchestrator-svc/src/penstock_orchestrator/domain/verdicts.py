"""What becomes of a held token, judged from its run alone: the truth is in the runs table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from penstock_backbone.records.runs import QUEUED, RUNNING, TERMINAL, RunItem


@dataclass(frozen=True, slots=True)
class Ended:
    """The run is over, or gone: its slot is free."""


@dataclass(frozen=True, slots=True)
class Returned:
    """The run waits again and refuses this fence from now on: its token goes back to the line."""


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """Granted, and no runner has taken it up yet."""


@dataclass(frozen=True, slots=True)
class Executing:
    """A runner has it; whether that runner lives is its session's matter."""

    session: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """A state of a newer writer, or a damaged item: the token stays held, because freeing it might overload somebody."""


Verdict: TypeAlias = Ended | Returned | Unclaimed | Executing | Unclear


def judge(fence: int, run: RunItem | None) -> Verdict:
    """`fence` is the one the token is held under."""
    if run is None:
        return Ended()
    state, claimed = run.get("state"), run.get("fence")
    if state in TERMINAL:
        return Ended()
    if state == RUNNING:
        return Executing(run.get("session", ""))
    if state == QUEUED and type(claimed) is int:
        return Returned() if claimed >= fence else Unclaimed()
    return Unclear()
