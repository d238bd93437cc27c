"""A small world to test the orchestrator in: time that passes when somebody sleeps, counted ids, and a hand-made runner."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.limits import set_limit

from penstock_backbone.inventory import TOKENS
from penstock_backbone.memory import MemoryEngine
from penstock_backbone.records.limits import Stated, change_limit, limit_key
from penstock_backbone.records.projects import create_project
from penstock_backbone.records.runs import RunItem, as_run, claim_run, end_run, fact, run_key
from penstock_backbone.records.sessions import open_session
from penstock_backbone.records.tokens import HEAD_SK, HELD, TokenItem, as_token, token_key
from penstock_backbone.telemetry import silent
from penstock_backbone.vocabulary import Item, Key, Put, Write, Written
from penstock_orchestrator.bootstrap import Parts, Surroundings
from penstock_orchestrator.domain.hints import Hints

BEGINNING = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


class ManualClock:
    """Sleeping moves the time on at once, after others had a turn."""

    def __init__(self) -> None:
        self.elapsed = 0.0

    def now(self) -> datetime:
        return BEGINNING + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        return self.elapsed

    async def sleep(self, seconds: float) -> None:
        self.elapsed += seconds
        loop = asyncio.get_running_loop()
        breath: asyncio.Future[None] = loop.create_future()
        loop.call_soon(breath.set_result, None)
        await breath


class CountedIds:
    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def new(self, prefix: str) -> str:
        return f"{prefix}_{next(self._numbers):06d}"


class EvenChance:
    def random(self) -> float:
        return 0.5


class World:
    """One engine, and any number of orchestrators on it, each with what it remembers."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.ids = CountedIds()
        self.engine = MemoryEngine(self.clock, self.ids)
        self.beats = 0

    def orchestrator(self, engine: Any = None) -> Parts:
        """`engine` may be one that fails."""
        return Parts.on(engine or self.engine, Surroundings(self.clock, self.ids, EvenChance(), silent()))

    @property
    def now_ms(self) -> int:
        return round(self.clock.now().timestamp() * 1000)

    async def write(self, *writes: Write) -> None:
        outcomes = await self.engine.tables.write(writes)
        assert all(isinstance(outcome, Written) for outcome in outcomes), outcomes

    async def submit(
        self, number: int, *, tenant: str = "acme", workflow: str = "build", priority: int = 3, **other: Any
    ) -> str:
        """A project as the API writes it; its id ends in the number, and so does its run's."""
        project = f"prj_{number:04d}"
        fields: dict[str, Any] = {
            "name": f"project {number}", "requirement": "build me something", "tags": ["a"], "at": self.now_ms + number,
            "traceparent": None,
        }  # fmt: skip
        put = create_project(
            project, tenant=tenant, workflow=workflow, priority=priority, run_id=run_of(project), **(fields | other)
        )
        await self.write(put)
        return project

    async def limit(self, **limits: int) -> None:
        """fleet=…, tenant_<name>=…, workflow_<name>=…"""
        await self.write(
            *(set_limit(name.replace("_", "#", 1), limit=value, at=self.now_ms) for name, value in limits.items())
        )

    async def change(self, scope: str, new: Stated) -> None:
        """As an operator does it through the API."""
        (old,) = await self.engine.tables.get([limit_key(scope)])
        change = self.ids.new("chg")
        await self.write(*change_limit(scope, old, new, change=change, who="ops", at=self.now_ms))

    async def open_session(self, session: str, *serves: str) -> None:
        """Without any `serves`: as a runner that does not say it."""
        await self.write(open_session(session, capacity=10, at=self.now_ms, serves=serves or None))

    async def item(self, put: Put) -> Item | None:
        (item,) = await self.engine.tables.get([put.key])
        return item

    async def run(self, run: str) -> RunItem:
        (item,) = await self.engine.tables.get([run_key(run)])
        assert item is not None, run
        return as_run(item)

    async def claim(
        self, run: str, *, fence: int = 1, session: str = "ses_1", hooked: bool = False, version: str = "1"
    ) -> RunItem:
        item = await self.run(run)
        await self.write(
            claim_run(
                item,
                fence=fence,
                session=session,
                version=version,
                stages=["one"],
                first=["one"],
                hooked=hooked,
                at=self.now_ms,
            )
        )
        return await self.run(run)

    async def finish(self, run: str, *, fence: int = 1, state: str = "succeeded") -> None:
        item = await self.run(run)
        if item["state"] == "queued":
            item = await self.claim(run, fence=fence)
        last = fact("RunSucceeded", self.now_ms, duration_ms=1)
        await self.write(
            end_run(item, state=state, fence=item["fence"], seq=item["seq"], facts=[last], results={}, at=self.now_ms)
        )

    def tokens(self) -> dict[str, TokenItem]:
        """By run id, as they stand in the table."""
        images: dict[str, TokenItem | None] = {}
        for record in self.engine.storage.feed:
            if _is_token(record.key):
                images[record.key.sk.rpartition("#")[2]] = None if record.item is None else as_token(record.item)
        return {run: token for run, token in images.items() if token is not None}

    def held(self) -> set[str]:
        return {run for run, token in self.tokens().items() if token["st"] == HELD}

    def most_held(self) -> int:
        """The most tokens held at any commit, counted from the change stream."""
        held: set[str] = set()
        most = 0
        for record in self.engine.storage.feed:
            if not _is_token(record.key):
                continue
            if record.item is not None and record.item["st"] == HELD:
                held.add(record.key.sk)
            else:
                held.discard(record.key.sk)
            most = max(most, len(held))
        return most

    def granted(self) -> list[str]:
        """The runs in the order in which they were let in, from the heads that were committed."""
        heads = [record.item for record in self.engine.storage.feed if record.key.sk == HEAD_SK]
        return [
            token.rpartition("#")[2]
            for head in heads
            if head is not None
            for operation, token, *_ in head["pend"]
            if operation == "grant"
        ]


def _is_token(key: Key) -> bool:
    return key.table == TOKENS and key.pk.startswith(token_key(0, "").pk.rstrip("0"))


def run_of(project: str) -> str:
    return project.replace("prj_", "run_")


def hints(
    *, projects: Sequence[str] = (), runs: Sequence[str] = (), limits: bool = False, everything: bool = False
) -> Hints:
    return Hints({project: run_of(project) for project in projects}, set(runs), limits=limits, everything=everything)


def event_body(kind: str, project: str) -> dict[str, Any]:
    """The shape in which a rule delivers an event to a queue."""
    metadata: Mapping[str, Any] = {"project_id": project, "run_id": run_of(project), "type": kind}
    return {"version": "0", "detail-type": kind, "source": "penstock", "detail": {"metadata": metadata, "data": {}}}
