"""The processes that a worker's stage has started, those in sessions of their own included, which its group does not reach."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

PROCESSES_MAX = 1_000


class Relative(NamedTuple):
    """`began` tells it from a later process of the same number."""

    pid: int
    began: str


def descendants(pid: int) -> list[Relative]:
    """Of this process, as Linux lists them; elsewhere none are known. Those whose parents have ended are not found."""
    found: list[Relative] = []
    waiting = [pid]
    while waiting and len(found) < PROCESSES_MAX:
        children = _children(waiting.pop())
        found += [Relative(child, began) for child in children if (began := _began(child)) is not None]
        waiting += children
    return found


def kill(relatives: Iterable[Relative]) -> None:
    for relative in relatives:
        if _began(relative.pid) == relative.began:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(relative.pid, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                found += map(int, (thread / "children").read_text().split())
    return found


def _began(pid: int) -> str | None:
    """In the clock ticks of the kernel."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None
