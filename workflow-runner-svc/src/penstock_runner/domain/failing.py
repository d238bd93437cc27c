"""Whether a run is on its way to `failed`: its stage has failed for good, and its hook has not finished yet."""

from __future__ import annotations

from penstock_backbone.records.runs import RunItem
from penstock_runner.authoring import RunFailure

_ENDS = frozenset({"RunFailed", "RunSucceeded", "RunCancelled", "RunTimedOut", "RunRetried", "RunQueued"})
"""What comes before them in the story is over."""


def failing(run: RunItem) -> RunFailure | None:
    """From the story: a final StageFailed that no end of the run has followed."""
    for number in range(run["seq"], 1, -1):
        fact = run["facts"].get(str(number))
        if fact is None or fact["t"] in _ENDS:
            return None
        if fact["t"] == "StageFailed" and fact["d"]["final"]:
            told = fact["d"]
            return RunFailure(told["stage"], told["error"], told["message"])
    return None
