"""An API over the in-memory engine, its clients, and runners and orchestrators that are plain writes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import httpx
import uvicorn

from penstock_api.bootstrap import assemble
from penstock_backbone.errors import Retryable
from penstock_backbone.memory import MemoryEngine
from penstock_backbone.ports import Tables
from penstock_backbone.records.projects import as_project, project_key
from penstock_backbone.records.runs import (
    FAILED,
    SUCCEEDED,
    FactItem,
    RunItem,
    as_run,
    claim_run,
    commit_facts,
    end_run,
    enqueue_run,
    fact,
    run_key,
)
from penstock_backbone.records.sessions import announce_workflow
from penstock_backbone.system import SystemClock, SystemIds
from penstock_backbone.telemetry import Telemetry, silent
from penstock_backbone.vocabulary import (
    BlobRef,
    Item,
    Key,
    Outcome,
    Page,
    Query,
    TransactionOutcome,
    TransactionPart,
    Update,
    Write,
    Written,
)

Answer = TypeVar("Answer")

REQUIREMENT = "Build me an agent that reads refund requests and drafts an answer."
STAGES = ["analysis", "design", "delivery"]
START = datetime(2026, 11, 24, 2, 47, 13, 123000, UTC)


class TestClock:
    """Stands still until it is moved; its sleepers wait for nothing."""

    __test__ = False

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        await asyncio.sleep(0)  # noqa: TID251  # lets the others run, takes no time


@dataclass
class WatchedTables:
    """Notes every call; `lost` takes a request or a response away by the call's name."""

    tables: Tables
    calls: list[str] = field(default_factory=list)
    lose_requests: dict[str, int] = field(default_factory=dict)
    lose_responses: dict[str, int] = field(default_factory=dict)

    async def get(self, keys: Sequence[Key]) -> list[Item | None]:
        return await self._call("get", lambda: self.tables.get(keys))

    async def query(self, query: Query) -> Page:
        return await self._call("query", lambda: self.tables.query(query))

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        return await self._call("write", lambda: self.tables.write(writes))

    async def write_after(self, guard: Write, followers: Sequence[Write]) -> tuple[Outcome, list[Outcome]]:
        return await self._call("write_after", lambda: self.tables.write_after(guard, followers))

    async def transact(self, parts: Sequence[TransactionPart]) -> TransactionOutcome:
        return await self._call("transact", lambda: self.tables.transact(parts))

    async def _call(self, name: str, call: Callable[[], Awaitable[Answer]]) -> Answer:
        self.calls.append(name)
        await asyncio.sleep(0)  # noqa: TID251  # a real engine lets others run here
        if self.lose_requests.get(name, 0) > 0:
            self.lose_requests[name] -= 1
            raise Retryable("the request was lost")
        answer = await call()
        if self.lose_responses.get(name, 0) > 0:
            self.lose_responses[name] -= 1
            raise Retryable("the response was lost")
        return answer


class World:
    def __init__(
        self, clock: TestClock | SystemClock, telemetry: Telemetry, origins: frozenset[str] = frozenset()
    ) -> None:
        self.clock = clock
        self.ids = SystemIds()
        self.engine = MemoryEngine(SystemClock(), self.ids)
        self.real_tables: Tables = self.engine.tables
        self.tables = WatchedTables(self.real_tables)
        self.engine.tables = self.tables  # type: ignore[assignment]  # the same port
        self.api = assemble(self.engine, clock, self.ids, telemetry, origins=origins, hosts=frozenset({"api"}))

    @property
    def items_written(self) -> int:
        return len(self.engine.storage.feed)

    async def announce(self, *names: str, resources: Sequence[str] = ()) -> None:
        stages = [{"name": stage, "title": stage.capitalize()} for stage in STAGES]
        await self.real_tables.write(
            [announce_workflow(name, version="7", stages=stages, resources=resources, at=1) for name in names]
        )

    async def enqueue(self, project_id: str) -> RunItem:
        """As the orchestrator does, without its token."""
        (item,) = await self.real_tables.get([project_key(project_id)])
        assert item is not None
        project = as_project(item)
        put = enqueue_run(project, token=f"token of {project_id}", shard=0, at=project["at"] + 1_000)
        assert await self.real_tables.write([put]) == [Written()]
        return await self.run(project["run_id"])

    async def run(self, run_id: str) -> RunItem:
        (item,) = await self.real_tables.get([run_key(run_id)])
        assert item is not None
        return as_run(item)

    async def claim(self, run: RunItem) -> RunItem:
        update = claim_run(
            run,
            fence=run["fence"] + 1,
            session="ses_1",
            version="7",
            stages=STAGES,
            first=[STAGES[0]],
            at=run["at"] + 5_000,
        )
        return await self.update(update)

    async def commit(
        self, run: RunItem, *facts: FactItem, results: dict[str, str | BlobRef] | None = None, **more: Any
    ) -> RunItem:
        update = commit_facts(
            run["pk"],
            fence=run["fence"],
            seq=run["seq"],
            facts=facts,
            results=results or {},
            at=facts[-1]["at"],
            **more,
        )
        return await self.update(update)

    async def succeed(self, run: RunItem, results: dict[str, str | BlobRef] | None = None) -> RunItem:
        at = run["at"] + 1_000
        last = fact("RunSucceeded", at, duration_ms=9_000, artifacts=[])
        update = end_run(
            run, state=SUCCEEDED, fence=run["fence"], seq=run["seq"], facts=[last], results=results or {}, at=at
        )
        return await self.update(update)

    async def fail(self, run: RunItem, **why: str) -> RunItem:
        at = run["at"] + 1_000
        last = fact("RunFailed", at, **why)
        update = end_run(run, state=FAILED, fence=run["fence"], seq=run["seq"], facts=[last], results={}, at=at)
        return await self.update(update)

    async def write(self, write: Write) -> None:
        (outcome,) = await self.real_tables.write([write])
        assert outcome == Written(), outcome

    async def update(self, update: Update) -> RunItem:
        (outcome,) = await self.real_tables.write([update])
        assert outcome == Written(), outcome
        return await self.run(update.key.pk)


@contextlib.asynccontextmanager
async def world(
    *workflows: str,
    clock: TestClock | SystemClock | None = None,
    telemetry: Telemetry | None = None,
    origins: frozenset[str] = frozenset(),
) -> AsyncIterator[tuple[World, httpx.AsyncClient]]:
    """An API that knows `workflows`, and a client inside the same process."""
    made = World(clock or TestClock(), telemetry or silent(), origins)
    await made.announce(*workflows)
    application: Any = made.api.application
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        yield made, client
    await made.api.close()


@contextlib.asynccontextmanager
async def served(made: World) -> AsyncIterator[str]:
    """The same over a real server on a free loopback port; gives host:port."""
    config = uvicorn.Config(
        made.api.application, host="127.0.0.1", port=0, lifespan="off", log_config=None, ws="websockets-sansio"
    )
    server = StartedServer(config)
    # Not serve(): the test runner keeps its signal handlers.
    serving = asyncio.create_task(server._serve())
    await server.listening.wait()
    try:
        host, port = server.servers[0].sockets[0].getsockname()[:2]
        yield f"{host}:{port}"
    finally:
        made.api.parts.hub.close()
        server.should_exit = True
        await asyncio.wait_for(serving, 10)


class StartedServer(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


async def submitted(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await client.post("/v1/projects", json={"requirement": REQUIREMENT, **fields})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body
