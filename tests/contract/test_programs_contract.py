"""Generated programs do the same on an engine as on the memory engine: every answer, and what is left at the end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from msgspec.structs import replace
from tests.contract.contract_inventory import CONTRACT
from tests.contract.programs import Step, compare, programs, reproducible
from tests.contract.rigs import Rig
from tests.contract.spared import SPARED

from penstock_backbone.errors import BackboneError, Fatal, Invalid, Retryable
from penstock_backbone.memory import MemoryEngine
from penstock_backbone.ports import Tables
from penstock_backbone.system import SystemClock, SystemIds
from penstock_backbone.vocabulary import (
    Cancelled,
    Item,
    Key,
    Outcome,
    Page,
    Query,
    Refused,
    TransactionOutcome,
    TransactionPart,
    Unsettled,
    Write,
)

pytestmark = [pytest.mark.anyio]

PROGRAMS_MIN = 15
"""On an emulator, where they cost most. That many find each of the wrong engines below."""


@pytest.mark.parametrize("rig", ["embedded"], indirect=True)
@settings(reproducible, max_examples=40)
@given(program=programs)
async def test_the_embedded_engine_does_what_the_memory_engine_does(rig: Rig, program: list[Step]) -> None:
    await compare(rig.engine.tables, program)


@pytest.mark.parametrize("rig", ["ministack"], indirect=True)
@settings(reproducible, max_examples=PROGRAMS_MIN)
@given(program=programs)
async def test_the_aws_engine_does_what_the_memory_engine_does(rig: Rig, program: list[Step]) -> None:
    await compare(rig.engine.tables, program, SPARED["ministack"])


@pytest.mark.parametrize("rig", ["moto"], indirect=True)
@settings(reproducible, max_examples=PROGRAMS_MIN)
@given(program=programs)
async def test_moto_does_what_the_memory_engine_does(rig: Rig, program: list[Step]) -> None:
    """One process and one thread: what more of them break in moto is no matter here."""
    await compare(rig.engine.tables, program, SPARED["moto"])


# --- does the comparison itself see what is wrong? ---------------------------------------------------


class Wrong:
    """The memory engine, wrong in one way. What is stale lacks the last writing call."""

    def __init__(self, wrong: str) -> None:
        self._tables = MemoryEngine(SystemClock(), SystemIds(), CONTRACT).tables
        self._stale = MemoryEngine(SystemClock(), SystemIds(), CONTRACT).tables
        self._to_come: Callable[[], Awaitable[Any]] | None = None
        self._wrong = wrong
        self._ends: dict[str, Any] = {}

    async def get(self, keys: Sequence[Key]) -> list[Item | None]:
        items = await self._tables.get(keys)
        match self._wrong:
            case "get: places":
                return sorted(items, key=lambda item: item is None)
            case "get: stale":
                return await self._stale.get(keys)
            case "get: unread":
                return [*items[:-1], None] if len(items) > 1 else items
        return items

    async def query(self, query: Query) -> Page:
        page = await self._tables.query(self._misread(query))
        match self._wrong:
            case "query: order":
                return Page(page.items[::-1], page.cursor)
            case "query: lost page" if page.cursor is not None:
                lost = await self._tables.query(replace(query, cursor=page.cursor))
                return Page(page.items, lost.cursor)
            case "query: page twice" if query.cursor is None and page.cursor is not None:
                first = await self._tables.query(replace(query, limit=1))
                return Page(page.items, first.cursor) if query.limit > 1 else page
            case "query: last page lost" if query.cursor is not None and page.cursor is None:
                return Page([], None)
            case "query: endless":
                return Page(page.items, page.cursor or query.cursor)
            case "index: equals lost" if query.index is not None and query.cursor is not None:
                last = self._ends.get(query.cursor)
                return Page([item for item in page.items if item["made"] != last], self._after(page))
            case "index: stale" if query.index is not None:
                return await self._stale.query(query)
            case "index: late" if query.index is not None:
                page = await self._stale.query(query)
                await self._catch_up()
        self._after(page)
        return page

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        await self._catch_up(lambda: self._stale.write(writes))
        try:
            outcomes = await self._tables.write(writes)
        except Invalid as error:
            if self._wrong == "write: kind of error":
                raise Fatal(str(error)) from error
            raise
        match self._wrong:
            case "write: throttled" if len(writes) == 1:
                raise Retryable("too fast")
            case "write: unsettled" if len(writes) > 1:
                return [*outcomes[:-1], Unsettled("too fast")]
            case "write: image":
                return [Refused() if isinstance(outcome, Refused) else outcome for outcome in outcomes]
        return outcomes

    async def write_after(self, guard: Write, followers: Sequence[Write]) -> tuple[Outcome, list[Outcome]]:
        await self._catch_up(lambda: self._stale.write_after(guard, followers))
        return await self._tables.write_after(guard, followers)

    async def transact(self, parts: Sequence[TransactionPart]) -> TransactionOutcome:
        await self._catch_up(lambda: self._stale.transact(parts))
        outcome = await self._tables.transact(parts)
        match (self._wrong, outcome):
            case ("transact: reasons", Cancelled(reasons=reasons)):
                return Cancelled(reasons[::-1])
            case ("transact: images", Cancelled(reasons=reasons)):
                return Cancelled(tuple(reason and Refused() for reason in reasons))
            case ("transact: refused", Cancelled()):
                raise Invalid("something is wrong with it")
        return outcome

    def _misread(self, query: Query) -> Query:
        match self._wrong:
            case "query: prefix":
                return replace(query, prefix="")
            case "query: descending":
                return replace(query, descending=False)
            case "query: limit":
                return replace(query, limit=query.limit + 1)
        return query

    async def _catch_up(self, call: Callable[[], Awaitable[Any]] | None = None) -> None:
        """`call` is what it lacks from now on."""
        if self._to_come is not None:
            with contextlib.suppress(BackboneError):
                await self._to_come()
        self._to_come = call

    def _after(self, page: Page) -> str | None:
        """Remembers the sort value where a page ended."""
        if page.cursor is not None and page.items:
            self._ends[page.cursor] = page.items[-1].get("made")
        return page.cursor


WRONGS = (
    "get: places", "get: stale", "get: unread",
    "query: order", "query: prefix", "query: descending", "query: limit", "query: lost page", "query: page twice",
    "query: last page lost", "query: endless", "index: equals lost", "index: stale",
    "write: throttled", "write: unsettled", "write: image", "write: kind of error",
    "transact: reasons", "transact: images", "transact: refused",
)  # fmt: skip


def compare_programs(tables: Callable[[], Tables], soon_seconds: float) -> None:
    """With as many programs as an engine gets at least."""

    @settings(reproducible, max_examples=PROGRAMS_MIN, phases=[Phase.generate])
    @given(program=programs)
    def agree(program: list[Step]) -> None:
        asyncio.run(compare(tables(), program, soon_seconds=soon_seconds))

    agree()


@pytest.mark.parametrize("wrong", WRONGS)
def test_a_wrong_engine_is_noticed(wrong: str) -> None:
    with pytest.raises(AssertionError, match="is answered"):
        compare_programs(lambda: Wrong(wrong), soon_seconds=0.0)


def test_a_right_engine_is_not_complained_of() -> None:
    compare_programs(lambda: Wrong("nothing"), soon_seconds=0.0)


def test_an_index_that_is_late_is_waited_for() -> None:
    compare_programs(lambda: Wrong("index: late"), soon_seconds=60.0)
