"""The worker process: takes one job after another from its runner, and ends with it.

It holds no client and no key: everything its stages read or write goes through the runner, so that a worker that
outlives a lost run can do nothing to it.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import logging
import multiprocessing
import os
import pickle
import resource
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from multiprocessing import forkserver
from typing import TypeVar

from pydantic import BaseModel

from penstock_events.facts import Artifact
from penstock_runner.adapters.workers import messages
from penstock_runner.adapters.workers.messages import (
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
from penstock_runner.adapters.workers.surroundings import Surroundings
from penstock_runner.authoring import FinalError, ProjectInput, StageStopped
from penstock_runner.domain.output import artifact_bytes, outputs_from, text_of
from penstock_runner.domain.raised import is_final, trace_of, words_of
from penstock_runner.domain.usage import UsageTotal
from penstock_runner.domain.wording import valid_text

PARENT_DEATH_SIGNAL = 1
"""prctl's PR_SET_PDEATHSIG."""
LINE_CHARS_MAX = 16 * 1024

OutputModel = TypeVar("OutputModel", bound=BaseModel)


class Refused(Exception):
    """The runner could not do what the stage asked for; another attempt may."""


class Line:
    """The way to the runner. Stages may use threads, so one question is asked at a time."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._lock = threading.RLock()
        # What a stage forks must not speak in its place.
        os.register_at_fork(after_in_child=control.close)

    def tell(self, message: Heard) -> None:
        with self._lock:
            self._control.sendall(framed(message))

    def ask(self, message: Heard) -> Answer:
        with self._lock:
            self.tell(message)
            answer = self.listen()
        match answer:
            case Answer():
                return answer
            case Refusal(message=text, final=final):
                raise FinalError(text) if final else Refused(text)
            case _:
                raise SystemExit(f"the runner answered with {type(answer).__name__}")

    def listen(self) -> Told:
        """Raises SystemExit when the runner has gone."""
        (length,) = LENGTH.unpack(self._exactly(LENGTH.size))
        return messages.told.decode(self._exactly(length))

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            block = self._control.recv(min(count - len(data), 1 << 20))
            if not block:
                raise SystemExit("the runner has gone")
            data += block
        return bytes(data)


class _Meter(UsageTotal):
    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line

    def add(self, **amounts: int | None) -> None:
        super().add(**amounts)
        self._line.tell(Used(amounts))


class WorkerContext:
    """A BlockingContext."""

    def __init__(self, line: Line, work: Work) -> None:
        self._line = line
        self.run_id = work.run_id
        self.project_id = work.project_id
        self.tenant = work.tenant
        self.stage = work.stage
        self.attempt = work.attempt
        self.idempotency_key = work.idempotency_key
        self.project = ProjectInput.model_validate(work.project)
        self.log = logging.LoggerAdapter(logging.getLogger("penstock.stage"), {})
        self.usage = _Meter(line)

    def output_of(self, stage: str, model: type[OutputModel]) -> OutputModel:
        return model.model_validate_json(self._line.ask(AskOutput(stage)).data)

    def input_as(self, model: type[OutputModel]) -> OutputModel:
        return model.model_validate_json(self.project.input)

    def outputs_of(self, stage: str, model: type[OutputModel]) -> list[OutputModel]:
        return outputs_from(self._line.ask(AskOutput(stage)).data, model)

    def progress(self, fraction: float | None, line: str = "") -> None:
        if fraction is not None and not 0 <= fraction <= 1:
            raise ValueError(f"progress is a fraction from 0 to 1, not {fraction}")
        self._line.tell(Came(fraction, valid_text(line[:LINE_CHARS_MAX])))

    def put_artifact(self, name: str, data: bytes) -> Artifact:
        checked = artifact_bytes(name, data)
        answer = self._line.ask(AskPut(name, checked))
        return Artifact(name=name, size=len(checked), sha256=answer.sha256)

    def get_artifact(self, name: str, of: str | None = None) -> bytes:
        return self._line.ask(AskGet(name, of)).data


class _Saying(logging.Handler):
    """Whatever the stage logs, through its context or by itself, goes to the runner."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line
        self._pid = os.getpid()

    def emit(self, record: logging.LogRecord) -> None:
        """A process that the stage has forked prints it: the line to the runner is not its own."""
        try:
            text = valid_text(self.format(record)[:LINE_CHARS_MAX])
            if os.getpid() == self._pid:
                self._line.tell(Said(record.levelno, text))
            else:
                os.write(2, f"{text}\n".encode())
        except Exception:  # noqa: BLE001  # as every logging.Handler: a log line never breaks the work
            self.handleError(record)


class Worker:
    def __init__(self, line: Line) -> None:
        self._line = line
        self._jobs = 0
        self._busy = False
        self._stopped = False
        self._memory_at_start = _peak_bytes()
        self._pid = os.getpid()

    def stop(self, *_: object) -> None:
        """SIGTERM: the stage may clean up; without one the process ends at once."""
        self._stopped = True
        if not self._busy:
            os._exit(0)
        raise StageStopped

    def serve(self) -> None:
        while True:
            told = self._line.listen()
            match told:
                case Warm(modules=modules):
                    for module in modules:
                        # The job that needs it says what is wrong with it.
                        with contextlib.suppress(Exception, SystemExit):
                            importlib.import_module(module)
                case Work():
                    self._line.tell(self._outcome(told))
                case _:
                    raise SystemExit(f"the runner said {type(told).__name__} without being asked")

    def _outcome(self, work: Work) -> Done | Broke:
        with self._job():
            before = Surroundings.now()
            try:
                run, model, final_errors, arguments = pickle.loads(work.code)  # noqa: S301  # from our own runner
                # What a module changes when it is imported stays: all its stages shall find it.
                before = Surroundings.now()
            except StageStopped:
                os._exit(0)
            except BaseException as error:  # noqa: BLE001  # the module may do anything when it is imported
                return self._broke(error, (), before)
            try:
                output = text_of(run(WorkerContext(self._line, work), *arguments), model)
            except StageStopped:
                os._exit(0)
            except BaseException as error:  # noqa: BLE001  # its failure, not ours
                return self._broke(error, final_errors, before)
            return Done(output, self._grown_bytes(), before.restored())

    @contextlib.contextmanager
    def _job(self) -> Iterator[None]:
        self._jobs += 1
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
            if self._stopped or os.getpid() != self._pid:
                os._exit(0)
            with contextlib.suppress(Exception):
                sys.stdout.flush()
            with contextlib.suppress(Exception):
                sys.stderr.flush()
            with contextlib.suppress(OSError):
                os.write(1, end_of_output(self._jobs))

    def _broke(
        self, error: BaseException, final_errors: tuple[type[BaseException], ...], before: Surroundings
    ) -> Broke:
        message = valid_text(words_of(error)[:LINE_CHARS_MAX])
        final = is_final(error, final_errors)
        trace = valid_text(trace_of(error))
        return Broke(type(error).__name__, message, final, trace, self._grown_bytes(), before.restored())

    def _grown_bytes(self) -> int:
        return max(0, _peak_bytes() - self._memory_at_start)


def serve(control: socket.socket, printed: socket.socket, memory_bytes: int, folder: str | None) -> None:
    """The process's main function. `folder`: for what is temporary."""
    os.setsid()
    _die_with_parent()
    if folder is not None:
        tempfile.tempdir = os.environ["TMPDIR"] = folder
    # A stage may start processes of its own: they are in this process's group and end with it.
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]  # noqa: SLF001  # multiprocessing knows no other way
    for number in (1, 2):
        os.dup2(printed.fileno(), number)
    sys.stdout = open(1, "w", buffering=1, errors="replace", closefd=False)  # noqa: SIM115  # lives as long as the process
    sys.stderr = open(2, "w", buffering=1, errors="replace", closefd=False)  # noqa: SIM115  # lives as long as the process
    for kind, most in ((resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_CORE, 0)):
        # A limit that the platform does not know, or that is already lower, is left alone.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))
    line = Line(control)
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[_Saying(line)], force=True)
    worker = Worker(line)
    signal.signal(signal.SIGTERM, worker.stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Either the runner has gone, or it has closed the line.
    with contextlib.suppress(SystemExit, OSError):
        worker.serve()
    # Threads that a stage has left behind must not keep the process.
    os._exit(0)


def _die_with_parent() -> None:
    """Where the kernel can do it, even a worker that hangs in C does not outlive its runner. The fork server, whose
    child this is, ends once nobody holds its pipe any more, and a worker is handed an end of it at its birth."""
    if (fd := getattr(forkserver._forkserver, "_forkserver_alive_fd", None)) is not None:  # noqa: SLF001  # there is no public way
        os.close(fd)
        forkserver._forkserver._forkserver_alive_fd = None  # type: ignore[attr-defined]  # noqa: SLF001  # multiprocessing has no public way
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
