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
class NotImported:
    """A module of the package could not be imported, so no test ran. `output` is the end of what it said."""

    output: str


@dataclass(frozen=True, slots=True)
class TookTooLong:
    """The tests were ended after `seconds`."""

    seconds: float
    output: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing ran: this machine cannot shut the tests in, and may not run them otherwise."""

    reason: str


Outcome: TypeAlias = Ran | NotImported | TookTooLong | Refused


class Workbench(Protocol):
    def refusal(self) -> Refused | None:
        """Why run_tests would run nothing here; asked before anything is drafted, which costs money."""
        ...

    async def run_tests(self, files: Sequence[SourceFile]) -> Outcome:
        """Lays the files out, imports every module outside tests/, runs `pytest`, and leaves nothing behind, cancelled or not."""
        ...
