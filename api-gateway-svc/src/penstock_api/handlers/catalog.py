"""Which workflows the runners can execute, and what they ask for: read at most every few seconds, and again before a no."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from penstock_api.domain.inputs import misfits
from penstock_api.domain.new_project import Violation
from penstock_backbone.ports import Clock, Tables
from penstock_backbone.reading import read_whole
from penstock_backbone.records.sessions import catalog

FRESH_SECONDS = 5.0

Workflows = Mapping[str, Mapping[str, Any]]
"""Name → {version, stages: [{name, title}], resources: [name, …], input_schema?: JSON text}."""


class Catalog:
    def __init__(self, tables: Tables, clock: Clock) -> None:
        self._tables = tables
        self._clock = clock
        self._known: Workflows = {}
        self._read_at: float | None = None
        self._reading: asyncio.Task[None] | None = None

    async def known(self) -> Workflows:
        """At most FRESH_SECONDS old."""
        if self._read_at is None or self._clock.monotonic() - self._read_at > FRESH_SECONDS:
            await self.read_again()
        return self._known

    async def knows(self, name: str) -> bool:
        """A name that is missing may have been announced a moment ago, so it is looked for once more."""
        read_before = self._read_at
        if name in await self.known():
            return True
        if self._read_at == read_before:
            await self.read_again()
        return name in self._known

    async def resources_of(self, name: str) -> list[str]:
        """What its stages use. Runners of before said nothing about it."""
        return list((await self.known()).get(name, {}).get("resources", ()))

    async def misfits(self, name: str, given: Mapping[str, Any], version: str | None = None) -> tuple[Violation, ...]:
        """What does not fit in an input, as the newest runner sees it. `version`: of a run that keeps one; the schema of
        another says nothing about it."""
        read_before = self._read_at
        wrong = _misfits((await self.known()).get(name), given, version)
        if wrong and self._read_at == read_before:
            await self.read_again()
            wrong = _misfits(self._known.get(name), given, version)
        return wrong

    async def read_again(self) -> None:
        """One reading at a time: whoever comes while it is under way waits for it."""
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._read())
            self._reading.add_done_callback(self._done)
        await asyncio.shield(self._reading)

    async def _read(self) -> None:
        self._known = {item["sk"]: item for item in await read_whole(self._tables, catalog())}
        self._read_at = self._clock.monotonic()

    def _done(self, reading: asyncio.Task[None]) -> None:
        self._reading = None
        if not reading.cancelled():
            reading.exception()  # Everybody who waited has been given it; nobody may be left.


def _misfits(
    workflow: Mapping[str, Any] | None, given: Mapping[str, Any], version: str | None
) -> tuple[Violation, ...]:
    if workflow is None or version not in (None, workflow["version"]):
        return ()
    return misfits(workflow.get("input_schema"), given)
