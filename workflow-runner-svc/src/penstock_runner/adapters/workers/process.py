"""The runner's handle on one worker process: gives it jobs, answers its questions, hears it print, and ends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pickle
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import assert_never

from penstock_backbone.errors import BackboneError
from penstock_runner.adapters.workers import messages
from penstock_runner.adapters.workers.child import serve
from penstock_runner.adapters.workers.family import descendants, kill
from penstock_runner.adapters.workers.messages import (
    FRAME_BYTES_MAX,
    LENGTH,
    Answer,
    AskGet,
    AskOutput,
    AskPut,
    Broke,
    Came,
    Done,
    Heard,
    Refusal,
    Said,
    Told,
    Used,
    Warm,
    Work,
    end_of_output,
    framed,
)
from penstock_runner.authoring import FinalError
from penstock_runner.ports import Desk, Job, JobFailed, WorkerLost
from penstock_runner.temporary import remove

KILL_SECONDS = 2.0
"""From the request to end, which the stage's code sees as StageStopped, to the kill."""
EXIT_SECONDS = 1.0
"""For the exit status of a process that has closed its line."""
PRINTED_SECONDS = 0.5
"""For what a job has printed to arrive after its result."""
PRINTED_LINE_BYTES_MAX = 16 * 1024
_one_change = threading.Lock()
"""Each start looks through the list of all processes, from which a process that is closed meanwhile must not go."""


class WorkerProcess:
    def __init__(
        self, process: BaseProcess, control: socket.socket, printed: socket.socket, folder: str | None
    ) -> None:
        self._process = process
        self._pid = process.pid
        self._control = control
        self._printed = printed
        self._folder = folder
        self._exited = asyncio.Event()
        self._desk: Desk | None = None
        self._listening: asyncio.Task[None] | None = None
        self._all_printed = asyncio.Event()
        self.jobs = 0
        self.grown_bytes = 0
        self.left = ""

    @classmethod
    async def started(cls, context: ForkServerContext, memory_bytes: int, modules: Sequence[str]) -> WorkerProcess:
        """The fork server is asked in a thread: the first time it has to start itself."""
        folder = _folder()
        control, control_of_child = socket.socketpair()
        printed, printed_of_child = socket.socketpair()
        with control_of_child, printed_of_child:
            process = context.Process(
                target=serve, args=(control_of_child, printed_of_child, memory_bytes, folder), daemon=True
            )
            await asyncio.to_thread(_alone, process.start)
        worker = cls(process, control, printed, folder)
        try:
            await worker._open(modules)
        except BaseException:
            worker.kill()
            raise
        return worker

    async def _open(self, modules: Sequence[str]) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._process.sentinel, self._has_exited)
        self._reader, self._writer = await asyncio.open_connection(sock=self._control, limit=1 << 20)
        # The stream's writer is not used, but the stream closes with it.
        printed, self._printer = await asyncio.open_connection(sock=self._printed, limit=PRINTED_LINE_BYTES_MAX)
        self._listening = asyncio.create_task(self._hear_prints(printed))
        if modules:
            await self._tell(Warm(list(modules)))

    @property
    def alive(self) -> bool:
        return not self._exited.is_set()

    async def work(self, job: Job, desk: Desk) -> bytes:
        """Raises JobFailed or WorkerLost."""
        self.jobs += 1
        self._desk = desk
        self._all_printed.clear()
        try:
            await self._tell(_work(job))
            outcome = await self._until_outcome(desk)
        except (OSError, asyncio.IncompleteReadError):
            raise WorkerLost(await self._farewell()) from None
        finally:
            await self._heard_all()
            self._desk = None
        self.grown_bytes, self.left = outcome.grown_bytes, outcome.left
        if isinstance(outcome, Broke):
            raise JobFailed(outcome.error, outcome.message, final=outcome.final, trace=outcome.trace)
        return outcome.output

    async def end(self) -> None:
        """Asks, and kills what does not listen, with all the processes it has started. Returns when it is gone."""
        relatives = descendants(self._pid or 0)
        self._signal(os.kill, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KILL_SECONDS):
                await self._exited.wait()
        self.kill()
        await self._exited.wait()
        kill(relatives)
        with contextlib.suppress(ValueError):
            await asyncio.to_thread(_alone, self._process.close)

    def kill(self) -> None:
        """At once. Its own session is its group, so what the stage has started goes, too."""
        self._signal(os.killpg, signal.SIGKILL)
        self._signal(os.kill, signal.SIGKILL)
        if self._listening is not None:
            self._listening.cancel()

    def _signal(self, send: Callable[[int, int], None], number: int) -> None:
        if self._pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                send(self._pid, number)

    def _has_exited(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._process.sentinel)
        if self._folder is not None:
            loop.run_in_executor(None, remove, Path(self._folder))
        self._exited.set()
        self._writer.close()
        self._printer.close()

    async def _farewell(self) -> str:
        """How it ended, in words."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EXIT_SECONDS):
                await self._exited.wait()
        code = self._process.exitcode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return f"the worker process of this stage was ended by {signal.Signals(-code).name}"
        return f"the worker process of this stage ended with exit code {code}"

    async def _tell(self, message: Told) -> None:
        self._writer.write(framed(message))
        await self._writer.drain()

    async def _until_outcome(self, desk: Desk) -> Done | Broke:
        while True:
            heard = await self._hear()
            match heard:
                case Done() | Broke():
                    return heard
                case Said(level=level, text=text):
                    desk.say(level, text)
                case Came(fraction=fraction, line=line):
                    desk.progress(fraction, line)
                case Used(amounts=amounts):
                    desk.usage.add(**amounts)
                case AskOutput() | AskPut() | AskGet():
                    await self._tell(await _answer(heard, desk))
                case _:
                    assert_never(heard)

    async def _hear(self) -> Heard:
        (length,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
        if length > FRAME_BYTES_MAX:
            self.kill()
            raise WorkerLost(
                f"the worker process of this stage said {length} bytes at once, and {FRAME_BYTES_MAX} are possible"
            )
        return messages.heard.decode(await self._reader.readexactly(length))

    async def _hear_prints(self, printed: asyncio.StreamReader) -> None:
        """Line by line; of a longer line the beginning."""
        kept = b""
        with contextlib.suppress(OSError):
            while block := await printed.read(PRINTED_LINE_BYTES_MAX):
                *lines, kept = (kept + block).split(b"\n")
                kept = kept[:PRINTED_LINE_BYTES_MAX]
                for line in lines:
                    self._hear_print(line)
        self._all_printed.set()

    def _hear_print(self, line: bytes) -> None:
        if line == end_of_output(self.jobs).strip():
            self._all_printed.set()
        elif line.strip() and self._desk is not None:
            self._desk.say(logging.INFO, line[:PRINTED_LINE_BYTES_MAX].decode(errors="replace"))

    async def _heard_all(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PRINTED_SECONDS):
                await self._all_printed.wait()


def _alone(change: Callable[[], None]) -> None:
    with _one_change:
        change()


def _folder() -> str | None:
    """Its temporary one, which goes when it does. None: where all others have theirs."""
    with contextlib.suppress(OSError):
        return tempfile.mkdtemp(prefix="worker-")
    return None


def _work(job: Job) -> Work:
    stage = job.stage
    return Work(
        code=pickle.dumps((stage.run, stage.output, stage.final_errors, job.arguments)),
        stage=stage.name,
        run_id=job.run_id,
        project_id=job.project_id,
        tenant=job.tenant,
        attempt=job.attempt,
        project=job.project.model_dump(mode="json"),
        idempotency_key=job.idempotency_key,
    )


async def _answer(asked: AskOutput | AskPut | AskGet, desk: Desk) -> Answer | Refusal:
    try:
        match asked:
            case AskOutput(stage=stage):
                return Answer(desk.output_text(stage))
            case AskPut(name=name, data=data):
                return Answer(sha256=(await desk.put_artifact(name, data)).sha256)
            case AskGet(name=name, of=of):
                return Answer(await desk.get_artifact(name, of))
            case _:
                assert_never(asked)
    except FinalError as error:
        return Refusal(str(error), final=True)
    except BackboneError as error:
        return Refusal(str(error), final=False)
