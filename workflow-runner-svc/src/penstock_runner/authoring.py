"""What a workflow's author writes and is given: stages, the workflow that orders them, and the stage's context.

async def greet(context: StageContext) -> Greeting: ...

HELLO = Workflow("hello", version="1", stages=(Stage("greet", greet, output=Greeting),))

docs/tutorial.md builds one step by step; `penstock workflow check MODULE` says what is wrong with one.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar

from pydantic import BaseModel

from penstock_events.facts import Artifact

OutputModel = TypeVar("OutputModel", bound=BaseModel)

STAGES_MAX = 50
HERE_SECONDS = 10.0
"""A wait of up to this costs less than giving the slot back."""
STAGE_NAME_PATTERN = r"[a-z][a-z0-9_]{0,39}"


class FinalError(Exception):
    """Raised by a stage when trying again cannot help: the run fails at once with this message."""


class Rejected(FinalError):
    """Somebody has rejected what the stage asked."""


class WaitTimeout(FinalError):
    """Nobody has answered or sent a signal in time. The time of a wait passes once, whatever the attempt."""


class StageSuspended(BaseException):
    """Ends the stage's code while the stage waits: let it pass, as a cancellation."""


class Approval(BaseModel):
    """`by` and `comment` are what the answer said of itself."""

    approved: bool
    by: str | None = None
    comment: str | None = None


class ProjectInput(BaseModel):
    """What the user asked for."""

    name: str
    requirement: str
    tags: tuple[str, ...] = ()
    input: str = "{}"
    """JSON text; `context.input_as` reads it."""


class UsageMeter(Protocol):
    """What the model calls of one attempt really consumed; the sum travels in StageCompleted."""

    def add(
        self,
        *,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        tool_calls: int | None = None,
        cost_microusd: int | None = None,
    ) -> None:
        """Only what was measured: a number that is left out stays absent. Negative numbers are a ValueError."""
        ...


class _Context(Protocol):
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
        """`run:stage` (`run:stage:3` for an item of a list), the same for every attempt: give it to third parties."""
        ...

    @property
    def project(self) -> ProjectInput: ...
    def input_as(self, model: type[OutputModel]) -> OutputModel:
        """What the user gave as the request's `input`, as the workflow's input model."""
        ...

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """Bound to run and stage; secrets are taken out, and megabytes cut."""
        ...

    @property
    def usage(self) -> UsageMeter: ...
    def progress(self, fraction: float | None, line: str = "") -> None:
        """How far the stage has come, 0 to 1 or None where that is not known, and what it does. Shown to whoever
        watches the run, about once a second at most; the newest word counts, and none is kept. A stage with `each`
        shows how many of its items are done instead. Threads of a stage may call it, too."""
        ...

    def output_of(self, stage: str, model: type[OutputModel]) -> OutputModel:
        """The result of a stage named in `needs` (directly or through others)."""
        ...

    def outputs_of(self, stage: str, model: type[OutputModel]) -> list[OutputModel]:
        """The results of a stage with `each`, in the order of its list."""
        ...


class StageContext(_Context, Protocol):
    """For a stage that is an `async def`.

    While a stage waits with `sleep`, `wait_for` or `approve`, its run holds no slot, and no process keeps it: so when the
    wait is over, the stage begins anew, and the call returns at once. Let a stage wait before it works, or in a stage of
    its own. The waits of one attempt are told apart by their order, so wait in the stage's own coroutine.
    """

    async def sleep(self, seconds: float) -> None:
        """Up to HERE_SECONDS the stage stays where it is; longer sleeps are waits."""
        ...

    async def wait_for(
        self, signal: str, model: type[OutputModel], *, timeout_seconds: float | None = None
    ) -> OutputModel:
        """The value that somebody sends with POST …/signals/{signal}, also when it was sent before. The first value
        stands. Raises WaitTimeout, and FinalError when the value does not fit the model."""
        ...

    async def approve(self, question: str, *, timeout_seconds: float | None = None) -> Approval:
        """Returns when somebody has approved (POST …/approve). Raises Rejected when somebody has rejected it, so that
        nothing goes on by mistake, and WaitTimeout."""
        ...

    async def checkpoint(self) -> None:
        """A place at which a long stage may be stopped and begun anew later: returns at once unless somebody has paused
        the run, or its runner is to end."""
        ...

    async def put_artifact(self, name: str, data: bytes) -> Artifact:
        """Stores a file under run, fence and `name` ("package/README.md"); it is listed when the run succeeds."""
        ...

    async def get_artifact(self, name: str, of: str | None = None) -> bytes:
        """A file that an earlier stage, or this one, has put; `of` a project's id: one that its finished run has left.
        FinalError where there is none; a project must be of the same tenant, and have succeeded."""
        ...


class BlockingContext(_Context, Protocol):
    """For a stage that is a plain `def`, in its worker process."""

    def put_artifact(self, name: str, data: bytes) -> Artifact:
        """As in StageContext."""
        ...

    def get_artifact(self, name: str, of: str | None = None) -> bytes:
        """As in StageContext."""
        ...


class StageStopped(BaseException):
    """Raised inside a blocking stage that is being ended by its time limit or with its run: it has KILL_SECONDS to
    clean up in `finally`, and then its process is killed."""


StageFunction: TypeAlias = Callable[[StageContext], Awaitable[BaseModel]]
"""An `async def`: runs on the runner's loop, for work that waits."""
BlockingFunction: TypeAlias = Callable[[BlockingContext], BaseModel]
"""A plain `def`: may block and compute. It runs in a worker process, whose crash or hang touches no other run, and so
it must stand at the top of its module. The process serves other runs afterwards: its current folder and environment are
put back, and when threads or processes are left in it, another takes its place."""
ItemFunction: TypeAlias = Callable[[StageContext, Any], Awaitable[BaseModel]]
BlockingItemFunction: TypeAlias = Callable[[BlockingContext, Any], BaseModel]
"""For a stage with `each`: the same two, with the item of the list."""


@dataclass(frozen=True, slots=True)
class RunFailure:
    """Why a run fails. `stage` None: not because of one stage."""

    stage: str | None
    error: str
    message: str


FailureHook: TypeAlias = Callable[[StageContext, RunFailure], Awaitable[None]]
FAILURE_HOOK = "on_failure"
"""The hook's name where a stage's would stand: in logs, in traces and in its idempotency key."""


def _where(depth: int) -> str:
    """The line that is being executed `depth` calls up, for messages about what was written there."""
    frame = sys._getframe(depth + 1)  # noqa: SLF001  # the documented way; inspect.stack() reads every source file
    return f"{frame.f_code.co_filename}, line {frame.f_lineno}"


@dataclass(frozen=True, slots=True)
class Stage:
    """`needs` None: the stage listed before it. () : nothing, it may run at once beside others.

    An attempt that raises, or exceeds `timeout_seconds`, is repeated after a back-off that doubles from
    `backoff_seconds`, `attempts_max` times in all, unless it raises FinalError or one of `final_errors`. Chance takes
    up to `jitter` (0 to 1) of each back-off away, so that runs that failed together do not come back together.

    `each` "pages.urls" runs the stage once for each item of the list `urls` in the output of the stage `pages`, and
    `run` takes the item after the context. At most `at_once` items run side by side; each has attempts and a time limit
    of its own, and stays finished once it is.

    `resources`: what it uses that is scarce for the whole fleet, as sort and name: ("model:sonnet",). A run is
    admitted when each resource that any of its stages uses has a slot free (/v1/limits/resource/model:sonnet), and
    holds one of each until it ends.
    """

    name: str
    run: StageFunction | BlockingFunction | ItemFunction | BlockingItemFunction
    output: type[BaseModel]
    title: str = ""
    needs: tuple[str, ...] | None = None
    attempts_max: int = 3
    backoff_seconds: float = 1.0
    timeout_seconds: float = 3600.0
    jitter: float = 0.5
    final_errors: tuple[type[Exception], ...] = ()
    resources: tuple[str, ...] = ()
    each: str | None = None
    at_once: int = 8
    where: str = field(init=False, repr=False, compare=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "where", _where(2))


@dataclass(frozen=True, slots=True)
class Workflow:
    """`timeout_seconds`: how long a run may take from its first start, all that it waits meanwhile included; then it ends
    `timed_out`. None: it has no limit of its own; its stages have theirs.

    `input`: the model of what a request may give besides its requirement. The API refuses what does not fit its JSON
    Schema, and a run whose input its own validators refuse fails before its first stage.

    `on_failure` is called when a stage has failed for good, before the run ends `failed`, when its input does not fit,
    when its time is over, and when it is given up because its runner was lost too often. It is called again when its runner is lost or it raises, so it
    gives its context's idempotency key to whoever must not hear twice. It may read the outputs of finished stages, and
    cannot wait for a time, a signal or an answer. It changes nothing: the run fails whatever becomes of it.
    """

    name: str
    version: str
    stages: tuple[Stage, ...]
    timeout_seconds: float | None = None
    input: type[BaseModel] | None = None
    on_failure: FailureHook | None = None
    where: str = field(init=False, repr=False, compare=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "where", _where(2))
