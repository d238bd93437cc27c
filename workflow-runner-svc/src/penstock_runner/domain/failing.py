"""Whether a run is on its way to `failed`, and only its hook is left: its stage has failed for good, or it was given up."""

from __future__ import annotations

from penstock_backbone.records.runs import RUNNER_LOST, RunItem
from penstock_runner.authoring import RunFailure

_ENDS = frozenset({"RunFailed", "RunSucceeded", "RunCancelled", "RunTimedOut", "RunRetried", "RunQueued"})
"""What comes before them in the story is over."""


class StoryFull(Exception):
    """The story has no room for what was to be committed, so the run fails."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.failure = RunFailure(None, "StoryTooLong", message)


def failing(run: RunItem) -> RunFailure | None:
    """From the story: a final StageFailed that no end of the run has followed. Else from the item."""
    return _failed_stage(run) or (RunFailure(None, RUNNER_LOST, run["given_up"][1]) if "given_up" in run else None)


def _failed_stage(run: RunItem) -> RunFailure | None:
    for number in range(run["seq"], 1, -1):
        fact = run["facts"].get(str(number))
        if fact is None or fact["t"] in _ENDS:
            return None
        if fact["t"] == "StageFailed" and fact["d"]["final"]:
            told = fact["d"]
            return RunFailure(told["stage"], told["error"], told["message"])
    return None
