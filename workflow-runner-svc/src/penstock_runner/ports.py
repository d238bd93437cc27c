"""What the runner needs from the world, in one parameter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from penstock_backbone.ports import Blobs, Chance, Clock, Ids, Queues, Tables
from penstock_backbone.telemetry import Telemetry
from penstock_events.facts import Artifact
from penstock_runner.authoring import ProjectInput, Stage, UsageMeter
from penstock_runner.domain.redaction import Redaction


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt of a blocking stage. `arguments`: what its function takes besides the context."""

    stage: Stage
    run_id: str
    project_id: str
    tenant: str
    attempt: int
    project: ProjectInput
    idempotency_key: str
    arguments: tuple[Any, ...] = ()


class Desk(Protocol):
    """The runner's side of a job, from which its worker asks for what its stage asks of the context.

    What it raises, the stage's code raises.
    """

    @property
    def usage(self) -> UsageMeter: ...
    def begin(self) -> None:
        """A worker has taken the job: its time runs from here."""
        ...

    def output_text(self, stage: str) -> bytes:
        """The JSON text of an earlier stage's result; an array for one with `each`."""
        ...

    def progress(self, fraction: float | None, line: str = "") -> None: ...

    async def put_artifact(self, name: str, data: bytes) -> Artifact: ...
    async def get_artifact(self, name: str, of: str | None = None) -> bytes: ...
    def say(self, level: int, text: str) -> None:
        """One line that the stage has logged or printed."""
        ...


class JobFailed(Exception):
    """The stage's code has raised `error` (a class name). `trace` says where, for the log."""

    def __init__(self, error: str, message: str, *, final: bool, trace: str = "") -> None:
        super().__init__(message)
        self.error = error
        self.final = final
        self.trace = trace


class WorkerLost(Exception):
    """The worker process ended before the stage did: it crashed, or somebody killed it."""


class Workers(Protocol):
    """Where blocking stages run, one job a worker."""

    def near(self) -> None:
        """Somebody will soon have a job: a worker should wait for it."""
        ...

    async def run(self, job: Job, desk: Desk) -> bytes:
        """The JSON text of the result. Raises JobFailed or WorkerLost. Cancelled, it ends the stage whatever that
        does, within KILL_SECONDS, and returns only when nothing of it runs any more."""
        ...


@dataclass(frozen=True, slots=True)
class World:
    """The backbone's ports, and the runner's own; bootstrap.py fills in the real ones, tests and simulations theirs."""

    tables: Tables
    queues: Queues
    blobs: Blobs
    clock: Clock
    ids: Ids
    chance: Chance
    telemetry: Telemetry
    workers: Workers
    redact: Callable[[str], str] = field(default_factory=Redaction)
