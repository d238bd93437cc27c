"""How long runs hold their slots, as measured: what estimates are made from."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from penstock_backbone.records.limits import DURATIONS_MAX
from penstock_backbone.records.runs import FAILED, SUCCEEDED, RunItem

WORKFLOWS_MAX = 1_000
"""Workflows whose samples are kept; beyond that the one that was heard of first is forgotten."""


class Durations:
    """The last DURATIONS_MAX of each workflow, in milliseconds."""

    def __init__(self) -> None:
        self._recalled: set[str] = set()
        self._samples: dict[str, deque[int]] = {}

    def note(self, runs: Iterable[RunItem | None]) -> None:
        """Of what has ended. A run that was interrupted or has waited held several slots one after the other, and a
        cancelled one might have taken longer, so they say nothing here."""
        for run in runs:
            if run is None or run.get("state") not in (SUCCEEDED, FAILED) or _was_queued_again(run):
                continue
            started, ended, workflow = run.get("started_at"), run.get("at"), run.get("workflow")
            if type(started) is int and type(ended) is int and ended >= started and type(workflow) is str:
                self._of(workflow).append(ended - started)

    def recalls(self, workflow: str) -> bool:
        return workflow in self._recalled

    def recall(self, workflow: str, earlier: Iterable[int]) -> None:
        """What was measured before this process began."""
        sample = self._of(workflow)
        self._recalled.add(workflow)
        measured = list(sample)
        sample.clear()
        sample.extend([*earlier, *measured])

    def of(self, workflow: str) -> list[int]:
        return list(self._samples.get(workflow, ()))

    def _of(self, workflow: str) -> deque[int]:
        sample = self._samples.get(workflow)
        if sample is None:
            while len(self._samples) >= WORKFLOWS_MAX:
                forgotten = next(iter(self._samples))
                del self._samples[forgotten]
                self._recalled.discard(forgotten)
            sample = self._samples[workflow] = deque(maxlen=DURATIONS_MAX)
        return sample


def _was_queued_again(run: RunItem) -> bool:
    first = run["facts"].get("2") if "facts" in run else None
    return run.get("attempt") != 1 or first is None or run.get("queued_at") != first["at"]
