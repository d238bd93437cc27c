"""The port to the place where a built package runs its own tests, away from the runner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from penstock_runner.workflows.building.documents import SourceFile


@dataclass(frozen=True, slots=True)
class Ran:
    """The tests ended by themselves. `output` is the end of what they printed, stdout and stderr as they came."""

    exit_code: int
    output: str
    duration_ms: int


@dataclass(frozen=True, slots=True)
class TookTooLong:
    """The tests were ended after `seconds`."""

    seconds: float
    output: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing ran: this machine cannot shut the tests in, and may not run them otherwise."""

    reason: str


Outcome: TypeAlias = Ran | TookTooLong | Refused


class Workbench(Protocol):
    async def run_tests(self, files: Sequence[SourceFile]) -> Outcome:
        """Lays the files out, runs `pytest` over them, and leaves nothing behind, cancelled or not."""
        ...
