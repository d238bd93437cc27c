"""Runs every duty of the orchestrator side by side in one process, each in a loop of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from penstock_backbone.errors import BackboneError
from penstock_backbone.ports import Chance, Clock
from penstock_orchestrator.domain.backoff import backoff_seconds

LONGEST_PAUSE_SECONDS = 2.0
FAREWELL_SECONDS_MAX = 0.4

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Duty:
    """`turn` does one piece of work, or waits for it; every turn begins from what is true, so a failed one is repeated."""

    name: str
    turn: Callable[[], Awaitable[None]]


class Host:
    """`farewell` is tried once when the host ends, for what is only polite."""

    def __init__(
        self, duties: Sequence[Duty], farewell: Sequence[Callable[[], Awaitable[None]]], clock: Clock, chance: Chance
    ) -> None:
        self._duties = duties
        self._farewell = farewell
        self._clock = clock
        self._chance = chance

    async def run(self) -> NoReturn:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for duty in self._duties:
                group.create_task(self._keep(duty), name=duty.name)
        raise AssertionError("the duties never end")

    async def leave(self) -> None:
        for last in self._farewell:
            try:
                async with asyncio.timeout(FAREWELL_SECONDS_MAX / len(self._farewell)):
                    await last()
            except (BackboneError, TimeoutError) as error:
                _log.info("On leaving: %s", error)

    async def _keep(self, duty: Duty) -> NoReturn:
        failures = 0
        while True:
            try:
                await duty.turn()
            except BackboneError as error:
                failures += 1
                _log.warning("%s: %s (try %d)", duty.name, error, failures)
            except Exception:  # noqa: BLE001  # a defect in one duty must not end the others; it reads everything anew
                failures += 1
                _log.exception("%s failed", duty.name)
            else:
                failures = 0
                continue
            await self._clock.sleep(backoff_seconds(failures, self._chance.random(), longest=LONGEST_PAUSE_SECONDS))
