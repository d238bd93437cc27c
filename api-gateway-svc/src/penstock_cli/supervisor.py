"""Keeps the processes of one machine running: starts them, starts again what dies, ends all of them in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock_backbone.environment import READY
from penstock_backbone.ports import Clock, Ids
from penstock_cli.data_folder import cut, last_lines, rotate
from penstock_cli.refusal import Refusal
from penstock_cli.restart import Deaths, GiveUp, StartAgain, after_death

STOP_SECONDS = 1.8
STORE_STOP_SECONDS = 0.7
HURRY_SECONDS = 1.0
"""For what is still there when somebody presses Ctrl-C again."""
LOG_LOOK_SECONDS = 10.0
STDIN = asyncio.subprocess.DEVNULL if sys.platform == "linux" else asyncio.subprocess.PIPE
"""child.py says what the pipe is for."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to start. A program with a `session` is told a new one each time and mourned under it (the runners), and says
    when it is ready: from then on what its stages do to it is no reason to stop everything.
    `stop_seconds`: how long it may take to end before it is killed."""

    name: str
    module: str
    log: Path
    environment: Mapping[str, str]
    session: bool = False
    last_to_stop: bool = False
    stop_seconds: float = STOP_SECONDS


@dataclass(slots=True)
class Child:
    """One life of a program. `log_start` is where its own lines begin, `ready` a pipe into which it says that it is ready."""

    program: Program
    process: asyncio.subprocess.Process
    session: str
    log_start: int
    ready: int


class Supervisor:
    """`report` gets a sentence for each death; `on_death` gets the session of a runner that died. Once `hurry` is set the
    end waits for nothing that takes long."""

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        clock: Clock,
        ids: Ids,
        report: Callable[[str], None],
        on_death: Callable[[str], Awaitable[None]],
        hurry: asyncio.Event,
    ) -> None:
        self._programs = programs
        self._clock = clock
        self._ids = ids
        self._report = report
        self._on_death = on_death
        self._hurry = hurry
        self._children: dict[str, Child] = {}
        self._dead_sessions: asyncio.Queue[str] = asyncio.Queue()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """All programs run while the body does. Raises Refusal when one cannot be kept alive; ends all of them."""
        try:
            async with asyncio.TaskGroup() as group:
                duties = [group.create_task(self._keep(program)) for program in self._programs]
                duties += [group.create_task(self._mourn()), group.create_task(self._keep_logs_short())]
                yield
                for duty in duties:
                    duty.cancel()
        except BaseExceptionGroup as failures:
            raise _first(failures) from None
        finally:
            await self._stop()

    def sessions(self) -> list[str]:
        """Of the runners alive now."""
        return [child.session for child in self._children.values() if child.session]

    async def _keep(self, program: Program) -> None:
        deaths = Deaths()
        while True:
            born = self._clock.monotonic()
            child = await self._start(program)
            try:
                code = await child.process.wait()
                was_ready = _has_spoken(child.ready)
            finally:
                os.close(child.ready)
            _end_group(child.process.pid)
            del self._children[program.name]
            if child.session:
                self._dead_sessions.put_nowait(child.session)
            verdict = after_death(
                lived_seconds=self._clock.monotonic() - born, was_ready=was_ready,
                was_killed=bool(child.session) and code < 0, before=deaths,
            )  # fmt: skip
            match verdict:
                case StartAgain(after_seconds, deaths):
                    words = last_lines(program.log, child.log_start).splitlines() if code > 0 else []
                    said = f" ({words[-1]})" if words else ""
                    self._report(f"{program.name} {_cause(code)}{said}: starting it again")
                    await self._clock.sleep(after_seconds)
                case GiveUp(count):
                    raise Refusal(
                        f"{program.name} {_cause(code)} {count} times in a row, so everything is stopped. "
                        f"Its log is {program.log}; it ends with:",
                        last_lines(program.log, child.log_start),
                    )

    async def _mourn(self) -> None:
        """Apart from the keepers: a runner starts again at once, even while nobody can be told of the death."""
        while True:
            await self._on_death(await self._dead_sessions.get())

    async def _keep_logs_short(self) -> None:
        while True:
            await self._clock.sleep(LOG_LOOK_SECONDS)
            for child in self._children.values():
                with contextlib.suppress(OSError):
                    if cut(child.program.log):
                        child.log_start = 0

    async def _start(self, program: Program) -> Child:
        rotate(program.log)
        session = self._ids.new("ses") if program.session else ""
        environment = {**os.environ, **program.environment}
        if session:
            environment["PENSTOCK_SESSION"] = session
        ready, its_end = os.pipe()
        if session:
            environment[READY] = str(its_end)
        try:
            with program.log.open("ab") as log:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-P", "-m", "penstock_cli.child", str(os.getpid()), program.module,
                    env=environment, stdin=STDIN, stdout=log, stderr=log, start_new_session=True,
                    pass_fds=(its_end,) if session else (),
                )  # fmt: skip
                self._children[program.name] = child = Child(program, process, session, log.tell(), ready)
        except BaseException:
            os.close(ready)
            raise
        finally:
            os.close(its_end)
        return child

    async def _stop(self) -> None:
        """The store last: the others still have something to write down."""
        children = list(self._children.values())
        await asyncio.gather(*(self._end(child) for child in children if not child.program.last_to_stop))
        await asyncio.gather(*(self._end(child) for child in children if child.program.last_to_stop))
        self._children.clear()

    async def _end(self, child: Child) -> None:
        """SIGTERM, another one when somebody is in a hurry, and SIGKILL for what is still there in the end."""
        _terminate(child)
        if not await self._has_ended(child, child.program.stop_seconds) and self._hurry.is_set():
            _terminate(child)
            await _wait([asyncio.create_task(child.process.wait())], HURRY_SECONDS)
        _end_group(child.process.pid)
        await child.process.wait()

    async def _has_ended(self, child: Child, seconds: float) -> bool:
        """Within this time, and before anybody is in a hurry."""
        ended, hurried = asyncio.create_task(child.process.wait()), asyncio.create_task(self._hurry.wait())
        await _wait([ended, hurried], seconds)
        return ended.done()


async def _wait(tasks: Sequence[asyncio.Task[Any]], seconds: float) -> None:
    """Until one of them is done, or the time is over."""
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


def _has_spoken(pipe: int) -> bool:
    """Whoever else holds its other end is not waited for."""
    os.set_blocking(pipe, False)
    with contextlib.suppress(BlockingIOError):
        return os.read(pipe, 1) != b""
    return False


def _terminate(child: Child) -> None:
    """Not process.terminate(), which looks whether the process has ended, and so can take its exit code from asyncio."""
    if child.process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.process.pid, signal.SIGTERM)


def _end_group(pid: int) -> None:
    """Each program leads a process group of its own: what it started itself must not outlive it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _cause(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def _first(failures: BaseExceptionGroup) -> BaseException:
    """A refusal says why; other failures are shown as they are."""
    refusals = failures.subgroup(Refusal)
    failure: BaseException = refusals or failures
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure
