"""Starts the AWS emulator as a child process on a free loopback port, and ends it by its own process group.

Everything is in the emulator's memory: it begins empty and leaves nothing behind.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from penstock_backbone.ports import Clock
from penstock_backbone.system import SystemClock

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".venv-ministack"
REQUIREMENTS = Path(__file__).with_name("ministack-requirements.txt")

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 5.0
POLL_SECONDS = 0.05
PORT_TRIES_MAX = 3
LOG_CHARS_SHOWN = 2000


class EmulatorFailed(RuntimeError):
    """The emulator is not installed, or it did not start."""


@dataclass(frozen=True, slots=True)
class Emulator:
    endpoint: str
    pid: int


@contextmanager
def running_ministack(clock: Clock | None = None) -> Iterator[Emulator]:
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        raise EmulatorFailed(
            f"the emulator is not installed: run `python -m venv {ENVIRONMENT.name} && "
            f"{ENVIRONMENT.name}/bin/pip install -r {REQUIREMENTS.relative_to(ROOT)}`, or `make test`"
        )
    with tempfile.TemporaryDirectory(prefix="penstock-ministack-") as name:
        process, port = _start(python, Path(name), clock or SystemClock())
        try:
            yield Emulator(f"http://127.0.0.1:{port}", process.pid)
        finally:
            _end(process)


def _start(python: Path, folder: Path, clock: Clock) -> tuple[subprocess.Popen[bytes], int]:
    """Between choosing a free port and binding it somebody else may take it, hence a few tries."""
    log = folder / "log"
    for _ in range(PORT_TRIES_MAX):
        port = _free_port()
        with log.open("ab") as output:
            process = subprocess.Popen(
                [python, "-m", "ministack"],
                env=_settings(port, folder),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if _is_ready(process, port, clock):
            return process, port
        _end(process)
    raise EmulatorFailed(f"the emulator did not start; the end of its log:\n{log.read_text()[-LOG_CHARS_SHOWN:]}")


def _settings(port: int, folder: Path) -> dict[str, str]:
    """Loopback only, no further listeners, nothing kept on disk, only the services that Penstock uses."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PENSTOCK_"))}
    # An install may have no bytecode, and the emulator has a quarter of a million lines: let Python keep it.
    inherited.pop("PYTHONDONTWRITEBYTECODE", None)
    return inherited | {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "PERSIST_STATE": "0",
        "S3_PERSIST": "0",
        "LOG_LEVEL": "WARNING",
        "SERVICES": "dynamodb,dynamodbstreams,events,sqs,s3",
        "TMPDIR": str(folder),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _is_ready(process: subprocess.Popen[bytes], port: int, clock: Clock) -> bool:
    """False when the process has ended or is still silent after START_SECONDS_MAX."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = clock.monotonic() + START_SECONDS_MAX
    while clock.monotonic() < end:
        try:
            with opener.open(f"http://127.0.0.1:{port}/_ministack/ready", timeout=1) as answer:
                if answer.status == 200:
                    return True
        except (urllib.error.URLError, OSError):
            pass
        try:
            process.wait(POLL_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return False
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, sign)
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                continue
