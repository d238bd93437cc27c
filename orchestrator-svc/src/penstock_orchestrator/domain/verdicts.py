"""What becomes of a held token, judged from its run alone: the truth is in the runs table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from penstock_backbone.records.runs import QUEUED, RESTING, RUNNING, TERMINAL, RunItem

NEEDS_NO_SLOT = TERMINAL | RESTING


@dataclass(frozen=True, slots=True)
class Ended:
    """The run is over, or gone, or it rests, or it returns with another token: this one's slot is free."""


@dataclass(frozen=True, slots=True)
class Returned:
    """The run waits again and refuses this fence from now on: its token goes back to the line. `resumes`: it had begun, and
    nobody behind it gets its slot; where nobody has taken it up for so long others have their turns first."""

    resumes: bool


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
    if state in NEEDS_NO_SLOT or (state == QUEUED and "returning" in run):
        return Unclaimed() if _is_older(run, fence) else Ended()
    if state == RUNNING:
        return Executing(run.get("session", ""))
    if state == QUEUED and type(claimed) is int:
        return Returned(run.get("revoked") != claimed) if claimed >= fence else Unclaimed()
    return Unclear()


def is_leaving(fence: int, run: RunItem) -> bool:
    """Whether a token that waits, with this fence behind it, has nobody to wait for. The token of a run that returns is
    made again under the run's own fence, so that only one below that is left from before."""
    claimed = run.get("fence", 0)
    if "returning" in run:
        return bool(fence < claimed)
    return run.get("state") in NEEDS_NO_SLOT and fence <= claimed


def _is_older(run: RunItem, fence: int) -> bool:
    """Than the grant under `fence`: a run that gets going again has had its fence raised, and was granted above that."""
    claimed = run.get("fence")
    return type(claimed) is int and fence > claimed + 1
