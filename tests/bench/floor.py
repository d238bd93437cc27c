"""What the bounded drain takes where nothing is done except what durability asks for: the floor under W3 on this machine.

Three processes, as in the product: one executes the runs, one lets them in, one writes. The writer answers every group
of requests after one fdatasync of a file that does not grow; each request is one byte. A run has a sync after each
stage, one when the next run is let in and one when that is claimed.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop
from tests.bench.figures import STAGE_SECONDS, STAGES

PAGE_BYTES = 4096
PAGES = 256
READY_SECONDS = 20.0


def floor_seconds(runs: int, limit: int) -> float:
    """From the first run's admission to the last one's last stage."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        writer, gate = Path(folder, "writer"), Path(folder, "gate")
        with _process("writer", writer), _process("gate", gate, writer):
            return uvloop.run(_drain(writer, gate, runs, limit))


async def _drain(writer: Path, gate: Path, runs: int, limit: int) -> float:
    durable, admission = await _connected(writer), await _connected(gate)
    left = iter(range(runs))
    started = ended = time.monotonic()  # noqa: TID251  # this is the measurement

    async def slot() -> None:
        nonlocal ended
        for _ in left:
            await admission.ask()
            await durable.ask()
            for stage in range(STAGES):
                await asyncio.sleep(STAGE_SECONDS)  # noqa: TID251  # this is the workload
                if stage == STAGES - 1:
                    ended = time.monotonic()  # noqa: TID251  # this is the measurement
                await durable.ask()

    await asyncio.gather(*[slot() for _ in range(limit)])
    return ended - started


# --- the two others ------------------------------------------------------------------------------


class _Asker(asyncio.Protocol):
    """Answers come in the order of the questions."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._asked: deque[asyncio.Future[None]] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's does not derive from asyncio's

    def data_received(self, data: bytes) -> None:
        for _ in data:
            self._asked.popleft().set_result(None)

    async def ask(self) -> None:
        assert self._transport is not None
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        self._transport.write(b"?")
        await answer


class _Writer(asyncio.Protocol):
    """One sync for all that has arrived."""

    def __init__(self, file: int, waiting: list[tuple[asyncio.WriteTransport, int]]) -> None:
        self._file = file
        self._waiting = waiting

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]  # uvloop's does not derive from asyncio's

    def data_received(self, data: bytes) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._sync)
        self._waiting.append((self._transport, len(data)))

    def _sync(self) -> None:
        os.pwrite(self._file, os.urandom(PAGE_BYTES), os.getrandom(1)[0] % PAGES * PAGE_BYTES)
        os.fdatasync(self._file)
        for transport, count in self._waiting:
            transport.write(b"!" * count)
        self._waiting.clear()


class _Gate(asyncio.Protocol):
    """Asks the writer, and then answers."""

    def __init__(self, durable: _Asker) -> None:
        self._durable = durable
        self._granting: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]  # uvloop's does not derive from asyncio's

    def data_received(self, data: bytes) -> None:
        for _ in data:
            task = asyncio.get_running_loop().create_task(self._grant())
            self._granting.add(task)
            task.add_done_callback(self._granting.discard)

    async def _grant(self) -> None:
        await self._durable.ask()
        self._transport.write(b"!")


async def _write(socket: Path) -> None:
    file = os.open(socket.with_suffix(".log"), os.O_RDWR | os.O_CREAT, 0o600)
    os.write(file, bytes(PAGES * PAGE_BYTES))
    os.fdatasync(file)
    waiting: list[tuple[asyncio.WriteTransport, int]] = []
    server = await asyncio.get_running_loop().create_unix_server(lambda: _Writer(file, waiting), str(socket))
    await server.serve_forever()


async def _admit(socket: Path, writer: Path) -> None:
    durable = await _connected(writer)
    server = await asyncio.get_running_loop().create_unix_server(lambda: _Gate(durable), str(socket))
    await server.serve_forever()


async def _connected(socket: Path) -> _Asker:
    async with asyncio.timeout(READY_SECONDS):
        while True:
            try:
                _, asker = await asyncio.get_running_loop().create_unix_connection(_Asker, str(socket))
            except (FileNotFoundError, ConnectionRefusedError):
                await asyncio.sleep(0.05)  # noqa: TID251  # a real limit for real processes
            else:
                return asker


@contextmanager
def _process(role: str, *sockets: Path) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.floor", role, *map(str, sockets)])
    try:
        yield
    finally:
        process.terminate()
        process.wait(READY_SECONDS)


if __name__ == "__main__":
    role, *sockets = sys.argv[1:]
    uvloop.run(_write(Path(sockets[0])) if role == "writer" else _admit(Path(sockets[0]), Path(sockets[1])))
