"""`penstock up` on a folder of its own, with its CPU accounted and its stages traced."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import defaultdict
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

START_SECONDS = 60.0
STOP_SECONDS = 15.0
ROOT = Path(__file__).resolve().parents[2]


class Machine:
    """All processes of one `penstock up` with the benchmark's workflows and this fleet limit."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.trace = folder / "trace"
        self.trace.touch()
        self.port = _free_port()
        self.data = folder / "data"
        environment = dict(os.environ, PENSTOCK_BENCH_TRACE=str(self.trace), PYTHONPATH=str(ROOT))
        command = [
            sys.executable, "-m", "penstock_cli.main", "up", "--data", str(self.data), "--port", str(self.port),
            "--limit", str(limit), "--workflows", "tests.bench.workflows",
        ]  # fmt: skip
        self._log = (folder / "up.log").open("wb")
        self._process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=self._log, stderr=self._log)

    def __enter__(self) -> Self:
        end = time.monotonic() + START_SECONDS  # noqa: TID251  # a real clock for real processes
        while time.monotonic() < end and self._process.poll() is None:  # noqa: TID251  # a real clock for real processes
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2):
                    return self
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)  # noqa: TID251  # a real clock for real processes
        self._stop()
        message = f"penstock up did not become ready: {Path(self._log.name).read_text()[-2000:]}"
        raise RuntimeError(message)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def cpu_seconds(self) -> dict[str, float]:
        """User and system seconds so far, by program; children that have ended count with their parent."""
        used: dict[str, float] = defaultdict(float)
        parent = psutil.Process(self._process.pid)
        for process in [parent, *parent.children(recursive=True)]:
            times = process.cpu_times()
            used[_role(process)] += times.user + times.system + times.children_user + times.children_system
        return dict(used)

    def noted(self) -> list[tuple[int, str, str, int]]:
        """(ns, "S" or "E", run id, stage number) of every stage so far, in time's order."""
        rows = [line.split() for line in self.trace.read_text().splitlines()]
        return sorted((int(row[0]), row[1], row[2], int(row[3])) for row in rows if len(row) == 4)

    def _stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


def _role(process: psutil.Process) -> str:
    line = " ".join(process.cmdline())
    for role in ("embedded", "penstock_api", "penstock_orchestrator", "penstock_runner"):
        if role in line:
            return "store" if role == "embedded" else role.removeprefix("penstock_")
    return "supervisor"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
