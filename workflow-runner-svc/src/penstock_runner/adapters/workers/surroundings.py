"""What a stage may leave behind in its process, so that the next one must not get it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Of this process, as a stage finds them. `output`: the streams, and what stands behind their numbers."""

    folder: str | None
    environment: Mapping[bytes, bytes]
    output: tuple[Any, ...]
    signals: tuple[Any, ...]
    threads: int
    has_children: bool

    @classmethod
    def now(cls) -> Surroundings:
        return cls(_folder(), dict(os.environb), _output(), _signals(), threading.active_count(), _has_children())

    def restored(self) -> str:
        """Puts folder and environment back. What else is otherwise now, in words; "" where nothing is."""
        if self.folder is not None and _folder() != self.folder:
            with contextlib.suppress(OSError):
                os.chdir(self.folder)
        if dict(os.environb) != self.environment:
            os.environb.clear()
            os.environb.update(self.environment)
        now = Surroundings.now()
        found = {
            "another current folder": now.folder != self.folder,
            "another standard output": now.output != self.output,
            "another handling of signals": now.signals != self.signals,
            "threads": now.threads > self.threads,
            "processes": now.has_children and not self.has_children,
        }
        return ", ".join(words for words, so in found.items() if so)


def _folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109  # asked before and after each stage
    except OSError:
        return None


def _output() -> tuple[Any, ...]:
    return (*((id(stream), stream.closed) for stream in (sys.stdout, sys.stderr)), _file(1), _file(2))


def _file(number: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(number)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _signals() -> tuple[Any, ...]:
    handlers = (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))
    return (*handlers, signal.getitimer(signal.ITIMER_REAL)[0] > 0)


def _has_children() -> bool:
    """Where the system can say so without taking their exit codes from whoever waits for them."""
    if not hasattr(os, "waitid"):
        return False
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
