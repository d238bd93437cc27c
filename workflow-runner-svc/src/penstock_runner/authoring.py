"""What a workflow's author writes and is given: stages, the workflow that orders them, and the stage's context.

async def greet(context: StageContext) -> Greeting: ...

HELLO = Workflow("hello", version="1", stages=(Stage("greet", greet, output=Greeting),))
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from pydantic import BaseModel

from penstock_events.facts import Artifact, Usage

OutputModel = TypeVar("OutputModel", bound=BaseModel)

STAGES_MAX = 50
STAGE_NAME_PATTERN = r"[a-z][a-z0-9_]{0,39}"


class FinalError(Exception):
    """Raised by a stage when trying again cannot help: the run fails at once with this message."""


class ProjectInput(BaseModel):
    """What the user asked for."""

    name: str
    requirement: str
    tags: tuple[str, ...] = ()


class StageContext(Protocol):
    """One attempt of one stage, as its code sees it."""

    @property
    def run_id(self) -> str: ...
    @property
    def project_id(self) -> str: ...
    @property
    def tenant(self) -> str: ...
    @property
    def stage(self) -> str: ...
    @property
    def attempt(self) -> int:
        """From 1; a resumed run counts the attempts of the stage it is in from 1 again."""
        ...

    @property
    def idempotency_key(self) -> str:
        """`run:stage`, the same for every attempt: give it to third parties."""
        ...

    @property
    def project(self) -> ProjectInput: ...
    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """Bound to run and stage."""
        ...

    def output_of(self, stage: str, model: type[OutputModel]) -> OutputModel:
        """The result of a stage named in `needs` (directly or through others)."""
        ...

    async def put_artifact(self, name: str, data: bytes) -> Artifact:
        """Stores a file under run, fence and `name` ("package/README.md"); it is listed when the run succeeds."""
        ...

    async def get_artifact(self, name: str) -> bytes:
        """A file that an earlier stage, or this one, has put."""
        ...

    def report_usage(self, usage: Usage) -> None:
        """Adds what a model call really consumed; the stage's sum travels in StageCompleted."""
        ...


StageFunction = Callable[[StageContext], Awaitable[BaseModel]]


@dataclass(frozen=True, slots=True)
class Stage:
    """`needs` None: the stage listed before it. () : nothing, it may run at once beside others.

    An attempt that raises, or exceeds `timeout_seconds`, is repeated after a back-off that doubles from
    `backoff_seconds` with jitter, `attempts_max` times in all, unless it raises FinalError.
    """

    name: str
    run: StageFunction
    output: type[BaseModel]
    title: str = ""
    needs: tuple[str, ...] | None = None
    attempts_max: int = 3
    backoff_seconds: float = 1.0
    timeout_seconds: float = 3600.0


@dataclass(frozen=True, slots=True)
class Workflow:
    name: str
    version: str
    stages: tuple[Stage, ...]
