"""A store process of its own for a benchmark, on a data folder that goes with it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock_backbone.embedded.engine import EmbeddedEngine
from penstock_backbone.errors import BackboneError
from penstock_backbone.records.runs import run_key
from penstock_backbone.system import SystemClock

READY_SECONDS = 20.0


def engine_of(data: Path) -> EmbeddedEngine:
    return EmbeddedEngine(data / "store.sock", data / "artifacts", SystemClock())


@contextmanager
def running_store() -> Iterator[Path]:
    """The embedded engine's store on a data folder of its own, which goes with it."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        data = Path(folder)
        with running("penstock_backbone.embedded.main", data):
            asyncio.run(_until_ready(data))
            yield data


@contextmanager
def running(module: str, data: Path) -> Iterator[None]:
    environment = dict(os.environ, PENSTOCK_ENGINE="embedded", PENSTOCK_DATA=str(data))
    environment.pop("PENSTOCK_SOCKET", None)
    with (data / f"{module}.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", module], env=environment, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(READY_SECONDS)


async def _until_ready(data: Path) -> None:
    end = time.monotonic() + READY_SECONDS  # noqa: TID251  # a real limit for a real process
    while time.monotonic() < end:  # noqa: TID251  # a real clock for real processes
        if (data / "store.sock").exists():
            engine = engine_of(data)
            try:
                await engine.tables.get([run_key("run_none")])
            except BackboneError:
                pass
            else:
                return
            finally:
                await engine.close()
        await asyncio.sleep(0.05)  # noqa: TID251  # a real clock for real processes
    message = "the store did not become ready"
    raise RuntimeError(message)
