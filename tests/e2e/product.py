"""A whole Penstock as its user has it: the `penstock` command, its processes, its REST API."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

from penstock_backbone.engines import Engine, EngineSettings, open_engine
from penstock_backbone.records.limits import SHARDS_MAX
from penstock_backbone.records.tokens import all_tokens
from penstock_backbone.system import SystemClock
from penstock_cli.data_folder import DataFolder

CLOCK = SystemClock()
WAIT_SECONDS_MAX = 90.0
LOG_CHARS_SHOWN = 4000
LOOK_SECONDS = 0.03
STOP_SECONDS_MAX = 3.0
MODULES = {
    "store": "penstock_backbone.embedded.main",
    "api": "penstock_api.main",
    "orchestrator": "penstock_orchestrator.main",
    "runner": "penstock_runner.main",
}
ENDED = {"completed", "failed", "cancelled"}


class Product:
    """`penstock COMMAND` in a process of its own, on a folder and a port of its own. One that was killed can start again."""

    def __init__(self, folder: Path, *arguments: str, command: str = "up", **environment: str) -> None:
        self.folder = folder
        self.port = unused_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._command = [command, "--data", str(folder), "--port", str(self.port), *arguments]
        self._environment = {**os.environ, **environment}
        self._output = folder.with_name(f"{folder.name}.output")
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.stop()

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process

    @property
    def output(self) -> str:
        return self._output.read_text()

    async def begin(self) -> None:
        """Without waiting for it to be ready."""
        with self._output.open("wb") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "penstock_cli.main", *self._command,
                env=self._environment, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    async def start(self) -> None:
        await self.begin()
        await self.until(lambda: "API docs" in self.output or self.process.returncode is not None)
        assert self.process.returncode is None, self.output

    async def stop(self, number: int = signal.SIGINT) -> float:
        """Seconds that it took to end in good order."""
        began = CLOCK.monotonic()
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            await self.process.wait()
        return CLOCK.monotonic() - began

    async def ended(self) -> int:
        """The exit code, once the command has ended by itself."""
        try:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                return await self.process.wait()
        except TimeoutError:
            raise AssertionError(f"still running:\n{self.story()}") from None

    def story(self) -> str:
        """What was said, for whoever wants to know why a test failed."""
        logs = sorted((self.folder / "logs").glob("*.log"))
        ends = [f"--- {log.name}\n{log.read_text()[-LOG_CHARS_SHOWN:]}" for log in logs]
        return "\n".join([self.output[-LOG_CHARS_SHOWN:], *ends])

    def pids(self, program: str) -> list[int]:
        """Of its processes that run this program now, by their command lines."""
        wanted = ["penstock_cli.child", str(self.process.pid), MODULES[program]]
        return [pid for pid, words in _command_lines() if words[-3:] == wanted]

    async def kill(self, program: str) -> None:
        """Kill -9, and wait until another has taken its place."""
        await self.until(lambda: self.pids(program))
        victims = self.pids(program)
        os.kill(victims[0], signal.SIGKILL)
        await self.until(lambda: len(self.pids(program)) == len(victims) and victims[0] not in self.pids(program))

    async def kill_all(self) -> None:
        """Kill -9 of `penstock` itself; nothing of it may be left."""
        pid = self.process.pid
        os.kill(pid, signal.SIGKILL)
        await self.process.wait()
        await self.until(
            lambda: not any(str(pid) in words and "penstock_cli.child" in words for _, words in _command_lines())
        )

    async def until(self, condition: Callable[[], object]) -> None:
        async def ask() -> bool:
            return bool(condition())

        await self.until_so(ask)

    async def until_so(self, condition: Callable[[], Awaitable[object]]) -> None:
        try:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                while not await condition():
                    await CLOCK.sleep(LOOK_SECONDS)
        except TimeoutError:
            raise AssertionError(f"waited for {WAIT_SECONDS_MAX:.0f} s:\n{self.story()}") from None

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        async with httpx.AsyncClient(base_url=self.address, trust_env=False, timeout=30, verify=False) as client:
            yield client

    @contextlib.asynccontextmanager
    async def engine(self) -> AsyncIterator[Engine]:
        """A look behind the API."""
        settings = EngineSettings.from_environment(
            self._environment
            | {"PENSTOCK_DATA": str(self.folder), "PENSTOCK_SOCKET": str(DataFolder(self.folder).socket)}
        )
        engine = await open_engine(settings, CLOCK)
        try:
            yield engine
        finally:
            await engine.close()

    async def submit(self, tenant: str | None = None, **body: Any) -> dict[str, Any]:
        async with self.client() as client:
            answer = await client.post("/v1/projects", json=body, headers=_as(tenant))
        assert answer.status_code == 201, answer.text
        project: dict[str, Any] = answer.json()
        return project

    async def projects(self, *ids: str, tenant: str | None = None) -> list[dict[str, Any]]:
        """Asked again while the API, or the store behind it, is away."""
        found: list[dict[str, Any]] = []

        async def answered() -> bool:
            try:
                async with self.client() as client:
                    answers = [
                        await client.get(f"/v1/projects/{project_id}", headers=_as(tenant)) for project_id in ids
                    ]
            except httpx.TransportError:
                return False
            found[:] = [answer.json() for answer in answers]
            return all(answer.is_success for answer in answers)

        await self.until_so(answered)
        return found

    async def some_stages_done(self, *ids: str) -> None:
        """The moment for a kill: something is finished, and most is not."""

        async def some() -> bool:
            return any(project["stages_snapshot"]["completed"] >= 2 for project in await self.projects(*ids))

        await self.until_so(some)

    async def all_ended(self, *ids: str, tenant: str | None = None) -> list[dict[str, Any]]:
        """The projects, once each has ended and every token is free again."""
        found: list[dict[str, Any]] = []

        async def ended() -> bool:
            found[:] = await self.projects(*ids, tenant=tenant)
            return all(project["status"] in ENDED for project in found)

        await self.until_so(ended)
        async with self.engine() as engine:

            async def free() -> bool:
                pages = [await engine.tables.query(all_tokens(shard)) for shard in range(SHARDS_MAX)]
                return not any(page.items for page in pages)

            await self.until_so(free)
        return found


def _as(tenant: str | None) -> dict[str, str]:
    return {} if tenant is None else {"Penstock-Tenant": tenant}


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _command_lines() -> list[tuple[int, list[str]]]:
    return [(process.pid, process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
