"""Ctrl-C at any moment of a start ends the command quietly, with 130, and leaves no process behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.e2e.product import CLOCK, LOOK_SECONDS, WAIT_SECONDS_MAX

from penstock_cli.main import INTERRUPTED

pytestmark = pytest.mark.anyio

SLOW_IMPORT = """
import pathlib, sys, time

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            pathlib.Path({importing!r}).touch()
            time.sleep(0.5)

sys.meta_path.insert(0, Slow())
"""


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Short, because a socket's path must be."""
    with tempfile.TemporaryDirectory(prefix="interrupt") as folder:
        yield Path(folder)


def left(pid: int) -> list[list[str]]:
    """The command lines of what this `penstock` started and has not ended."""
    every = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    return [words for words in every if "penstock_cli.child" in words and str(pid) in words]


@pytest.mark.parametrize("command", ["up", "demo", "load"])
@pytest.mark.parametrize("module", ["asyncio", "argparse", "penstock_backbone.engines", "penstock_cli.machine"])
async def test_ctrl_c_while_it_imports_what_it_needs_ends_it_quietly(scratch: Path, command: str, module: str) -> None:
    importing = scratch / "importing"
    (scratch / "sitecustomize.py").write_text(SLOW_IMPORT.format(module=module, importing=str(importing)))
    folder = [] if command == "load" else ["--data", str(scratch / "data")]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "penstock_cli.main", command, *folder,
        env={**os.environ, "PYTHONPATH": str(scratch), "TMPDIR": str(scratch)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not importing.exists():
            await CLOCK.sleep(LOOK_SECONDS)
        process.send_signal(signal.SIGINT)
        _, complained = await process.communicate()
    assert (process.returncode, complained.decode()) == (INTERRUPTED, "")
    assert left(process.pid) == []
