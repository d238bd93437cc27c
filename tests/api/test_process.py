"""The API as a process: it starts with one sentence or refuses with one, and stops at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import websockets
from tests.api.world import REQUIREMENT

from penstock_api import bootstrap
from penstock_api.main import Refusal, listen
from penstock_backbone.embedded.engine import EmbeddedEngine
from penstock_backbone.errors import BackboneError
from penstock_backbone.records.sessions import announce_workflow
from penstock_backbone.system import SystemClock

pytestmark = pytest.mark.anyio

Process = asyncio.subprocess.Process
CLOCK = SystemClock()
LOOK_SECONDS = 0.03
WAIT_SECONDS_MAX = 60.0
"""On a machine that does ten other things: no test here asks how fast a start is."""
GRACE_SECONDS = 600
WITH_GRACE = (
    f"from penstock_api import main; main.SHUTDOWN_SECONDS_MAX = {GRACE_SECONDS}; raise SystemExit(main.main())"
)
"""An API that would wait for so long for streams that do not end: whoever sees it end sooner knows that nothing waited,
however busy the machine is."""


async def start(*python: str, open_files: int | None = None, **environment: str) -> Process:
    """`open_files`: how many it may have to begin with."""
    command = [sys.executable, *python]
    if open_files is not None:
        command = ["sh", "-c", f'ulimit -Sn {open_files} && exec "$@"', "sh", *command]
    return await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def ended(process: Process) -> AsyncIterator[Process]:
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def api_process(folder: Path, *python: str, open_files: int | None = None) -> AsyncIterator[tuple[Process, str]]:
    """A store, a workflow, and an API on a free port; gives the API's host:port."""
    store = await start("-m", "penstock_backbone.embedded.main", PENSTOCK_DATA=str(folder))
    async with ended(store):
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while not (folder / "store.sock").exists():
                await CLOCK.sleep(LOOK_SECONDS)
        engine = EmbeddedEngine(folder / "store.sock", folder / "artifacts", CLOCK)
        await engine.tables.write([announce_workflow("agent_build", version="1", stages=[], at=1)])
        await engine.close()
        api = await start(
            *(python or ("-m", "penstock_api.main")),
            open_files=open_files,
            PENSTOCK_DATA=str(folder),
            PENSTOCK_PORT="0",
        )
        async with ended(api) as process:
            assert process.stdout is not None
            line = (await asyncio.wait_for(process.stdout.readline(), WAIT_SECONDS_MAX)).decode()
            assert line.startswith("Penstock's API listens at http://127.0.0.1:"), line
            yield process, line.rpartition("/")[2].strip()


async def refusal(**environment: str) -> str:
    process = await start("-m", "penstock_api.main", open_files=None, **environment)
    async with ended(process):
        output, errors = await asyncio.wait_for(process.communicate(), WAIT_SECONDS_MAX)
    assert process.returncode == 1
    assert output == b""
    assert b"Traceback" not in errors
    sentences = errors.decode().strip()
    assert len(sentences.splitlines()) == 1
    return sentences


async def test_more_streams_are_open_than_the_system_begins_with_files(tmp_path: Path) -> None:
    async with (
        api_process(tmp_path, open_files=64) as (_, address),
        httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as client,
        contextlib.AsyncExitStack() as streams,
    ):
        project = (await client.post("/v1/projects", json={"requirement": REQUIREMENT})).json()["id"]
        for _ in range(100):
            opened = websockets.connect(f"ws://{address}/v1/projects/{project}/stream", open_timeout=WAIT_SECONDS_MAX)
            assert await (await streams.enter_async_context(opened)).recv()
        assert (await client.get("/healthz")).status_code == 200


async def test_a_websocket_that_is_refused_is_no_error_in_the_log(tmp_path: Path) -> None:
    async with api_process(tmp_path) as (process, address):
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(f"ws://{address}/v1/projects/prj_01KB5S6ZC1QG9VYH2N7D3T8XEM/stream")
        assert refused.value.response.status_code == 404
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), WAIT_SECONDS_MAX)
        assert errors == b""


async def test_sigterm_ends_it_at_once_although_streams_are_open(tmp_path: Path) -> None:
    async with api_process(tmp_path, "-c", WITH_GRACE) as (process, address):
        async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False, timeout=WAIT_SECONDS_MAX) as client:
            created = await client.post("/v1/projects", json={"requirement": REQUIREMENT})
            project_id = created.json()["id"]
            assert (await client.get("/readyz")).status_code == 200
            path = f"/v1/projects/{project_id}"
            async with (
                websockets.connect(f"ws://{address}{path}/stream", open_timeout=WAIT_SECONDS_MAX) as listening,
                client.stream("GET", f"{path}/events/stream") as browser,
            ):
                lines = browser.aiter_lines()
                while not (await anext(lines)).startswith("data: "):
                    pass
                await listening.recv()
                process.send_signal(signal.SIGTERM)
                _, errors = await asyncio.wait_for(process.communicate(), WAIT_SECONDS_MAX)
                assert (process.returncode, errors.decode()) == (0, "")
                async for _ in lines:
                    pass  # to its end: a stream that was cut off would raise
                with pytest.raises(websockets.ConnectionClosed):
                    await listening.recv()
                assert listening.close_code == 1012
        # Its spans were written before it left.
        assert (tmp_path / "spans.db").stat().st_size > 0


async def test_a_body_far_over_the_limit_gets_its_answer_over_a_real_connection(tmp_path: Path) -> None:
    async with api_process(tmp_path) as (_, address):
        host, port = address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        size = 8 * 1024 * 1024
        head = f"POST /v1/projects HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
        writer.write(head.encode())
        with contextlib.suppress(ConnectionError):
            writer.write(b" " * size)
            await writer.drain()
        assert b" 413 " in await asyncio.wait_for(reader.readline(), WAIT_SECONDS_MAX)
        writer.close()


async def test_a_busy_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        sentence = await refusal(PENSTOCK_PORT=port, PENSTOCK_DATA=str(tmp_path))
    assert f"Port {port} of 127.0.0.1 is in use" in sentence
    assert "PENSTOCK_PORT" in sentence


@pytest.mark.parametrize(
    ("setting", "value"), [("PENSTOCK_PORT", "many"), ("PENSTOCK_PORT", "70000"), ("PENSTOCK_HOST", "no such host")]
)
async def test_an_address_that_cannot_be_meant_is_one_sentence(setting: str, value: str) -> None:
    with pytest.raises(Refusal) as refused:
        listen({setting: value})
    assert f"{setting} is {value!r}" in str(refused.value)


async def test_a_store_that_is_not_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "START_SECONDS_MAX", 0.2)
    with pytest.raises(BackboneError) as refused:
        await bootstrap.connect({"PENSTOCK_DATA": str(tmp_path)})
    assert "penstock up" in str(refused.value)
