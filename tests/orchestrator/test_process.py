"""The orchestrator as a process: it works over the embedded store, ends when told to, and says why it cannot start."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock_backbone.engines import Engine, EngineSettings, open_engine
from penstock_backbone.inventory import DISPATCH_QUEUE
from penstock_backbone.records.projects import create_project
from penstock_backbone.records.runs import run_key
from penstock_backbone.system import SystemClock
from penstock_backbone.vocabulary import Written

pytestmark = pytest.mark.anyio

ORCHESTRATOR = "penstock_orchestrator.main"
STORE = "penstock_backbone.embedded.main"


@contextlib.asynccontextmanager
async def process(module: str, data: Path, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    known = {"PENSTOCK_DATA": str(data), "PENSTOCK_ENGINE": "embedded"}
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module,
        env={**os.environ, **known, **environment}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.kill()
        await started.wait()


async def submit(engine: Engine, number: int) -> str:
    put = create_project(
        f"prj_{number}", tenant="acme", name="n", requirement="build me a thing", workflow="w", priority=3, tags=[],
        run_id=f"run_{number}", at=number, traceparent=None,
    )  # fmt: skip
    assert isinstance((await engine.tables.write([put]))[0], Written)
    return f"run_{number}"


async def dispatched(engine: Engine) -> str:
    async with asyncio.timeout(15):
        while True:
            for message in await engine.queues.receive(DISPATCH_QUEUE, 1, 1.0):
                await engine.queues.delete(DISPATCH_QUEUE, [message.receipt])
                run: str = json.loads(message.body)["run"]
                return run


async def test_a_project_is_dispatched_and_sigterm_ends_the_process_cleanly_and_soon(tmp_path: Path) -> None:
    settings = EngineSettings.from_environment({"PENSTOCK_DATA": str(tmp_path)})
    async with process(STORE, tmp_path), process(ORCHESTRATOR, tmp_path) as orchestrator:
        engine = await open_engine(settings, SystemClock())
        run = await submit(engine, 1)
        assert await dispatched(engine) == run
        assert (await engine.tables.get([run_key(run)])) != [None]
        asked = time.perf_counter()
        orchestrator.send_signal(signal.SIGTERM)
        assert await orchestrator.wait() == 0
        assert time.perf_counter() - asked < 2.0
        await engine.close()


async def test_killed_in_the_middle_the_next_one_goes_on_with_what_was_accepted(tmp_path: Path) -> None:
    settings = EngineSettings.from_environment({"PENSTOCK_DATA": str(tmp_path)})
    async with process(STORE, tmp_path):
        engine = await open_engine(settings, SystemClock())
        async with process(ORCHESTRATOR, tmp_path) as first:
            await submit(engine, 1)
            await dispatched(engine)
            await submit(engine, 2)
            first.kill()
            await first.wait()
        await submit(engine, 3)
        async with process(ORCHESTRATOR, tmp_path):
            seen: set[str] = set()
            while not {"run_2", "run_3"} <= seen:  # the first one may come again: at least once
                seen.add(await dispatched(engine))
        await engine.close()


async def test_sigterm_while_it_waits_for_the_store_ends_it_too(tmp_path: Path) -> None:
    async with process(ORCHESTRATOR, tmp_path) as orchestrator:
        assert orchestrator.stderr is not None
        assert b"opens its engine" in await orchestrator.stderr.readline()
        asked = time.perf_counter()
        orchestrator.send_signal(signal.SIGTERM)
        assert await orchestrator.wait() == 0
        assert time.perf_counter() - asked < 2.0


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"PENSTOCK_ENGINE": "sqlite"}, "The orchestrator cannot start: PENSTOCK_ENGINE is 'sqlite': set it to"),
        ({"PENSTOCK_SOCKET": "/" + "x" * 120}, "is too long: choose a shorter data folder"),
    ],
)
async def test_what_stands_in_the_way_is_one_plain_sentence(
    tmp_path: Path, environment: dict[str, str], sentence: str
) -> None:
    async with process(ORCHESTRATOR, tmp_path, **environment) as orchestrator:
        _, errors = await orchestrator.communicate()
        assert orchestrator.returncode == 1
        assert sentence in errors.decode()
        assert [line for line in errors.decode().splitlines() if " INFO " not in line] == [
            errors.decode().splitlines()[-1]
        ]
