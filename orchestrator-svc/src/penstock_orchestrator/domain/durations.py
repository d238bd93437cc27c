"""How long runs hold their slots, as measured: what estimates are made from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from penstock_backbone.records.limits import DURATIONS_MAX
from penstock_backbone.records.runs import FAILED, SUCCEEDED, RunItem
from penstock_backbone.vocabulary import Item

WORKFLOWS_MAX = 1_000
"""Workflows whose samples are kept; beyond that the one that was heard of first is forgotten."""


@dataclass(slots=True)
class _Sample:
    """`board` is the workflow's board as it was last looked at or drawn (None: there was none), and `measured` comes after
    it. `drawing` is what was to stand there next, with the first `drawn` of them in it."""

    is_known: bool = False
    board: Item | None = None
    measured: list[int] = field(default_factory=list)
    drawing: list[int] = field(default_factory=list)
    drawn: int = 0

    @property
    def whole(self) -> list[int]:
        return [*_durations(self.board), *self.measured][-DURATIONS_MAX:]


class Durations:
    """The last DURATIONS_MAX of each workflow, in milliseconds: what the board says, by whomever it was measured, and what
    this process has measured since."""

    def __init__(self) -> None:
        self._samples: dict[str, _Sample] = {}

    def note(self, runs: Iterable[RunItem | None]) -> None:
        """Of what has ended. A run that was interrupted or has waited held several slots one after the other, and a
        cancelled one might have taken longer, so they say nothing here."""
        for run in runs:
            if run is None or run.get("state") not in (SUCCEEDED, FAILED) or _was_queued_again(run):
                continue
            started, ended, workflow = run.get("started_at"), run.get("at"), run.get("workflow")
            if type(started) is int and type(ended) is int and ended >= started and type(workflow) is str:
                sample = self._of(workflow)
                sample.measured.append(ended - started)
                if len(sample.measured) > DURATIONS_MAX:
                    del sample.measured[0]
                    sample.drawn = max(0, sample.drawn - 1)

    def knows(self, workflow: str) -> bool:
        """Whether the board is, as far as this process knows, the one that it last saw."""
        sample = self._samples.get(workflow)
        return sample is not None and sample.is_known

    def doubt(self, workflow: str) -> None:
        """Somebody else may have drawn the board."""
        self._of(workflow).is_known = False

    def see(self, workflow: str, board: Item | None) -> None:
        """What stands there. Where that is what this process was about to draw, its measurements are in it."""
        sample = self._of(workflow)
        if sample.drawn and _durations(board) == sample.drawing:
            del sample.measured[: sample.drawn]
        sample.drawn = 0
        sample.board, sample.is_known = board, True

    def draw(self, workflow: str) -> tuple[list[int], Item | None]:
        """What is to stand there, and in the place of which board."""
        sample = self._of(workflow)
        sample.drawing, sample.drawn = sample.whole, len(sample.measured)
        return sample.drawing, sample.board

    def of(self, workflow: str) -> list[int]:
        sample = self._samples.get(workflow)
        return [] if sample is None else sample.whole

    def _of(self, workflow: str) -> _Sample:
        sample = self._samples.get(workflow)
        if sample is None:
            while len(self._samples) >= WORKFLOWS_MAX:
                del self._samples[next(iter(self._samples))]
            sample = self._samples[workflow] = _Sample()
        return sample


def _durations(board: Item | None) -> list[int]:
    """A board that is damaged says nothing."""
    durations = (board or {}).get("durations")
    return durations if isinstance(durations, list) else []


def _was_queued_again(run: RunItem) -> bool:
    first = run["facts"].get("2") if "facts" in run else None
    return run.get("attempt") != 1 or first is None or run.get("queued_at") != first["at"]
