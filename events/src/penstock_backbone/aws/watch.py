"""The Watch port by polling: one reader for all followed items, each at its own pace."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

import msgspec

from penstock_backbone.aws.tables import AwsTables
from penstock_backbone.errors import BackboneError
from penstock_backbone.local.waiting import Bell
from penstock_backbone.ports import Clock
from penstock_backbone.vocabulary import BATCH_ITEMS_MAX, Item, Key

WATCHED_KEYS_MAX = 5_000
PAUSE_SECONDS_FIRST = 0.25
PAUSE_SECONDS_MAX = 2.0
PAUSE_GROWTH = 1.5
ROUND_SECONDS = 0.05
"""Items that fall due within this time are read together."""

_LOGGER = logging.getLogger(__name__)


@dataclass(slots=True)
class _Followed:
    mark: int
    due: float
    pause_seconds: float = PAUSE_SECONDS_FIRST
    changed: bool = False
    waiters: int = 0
    bell: Bell = field(default_factory=Bell)


class AwsWatch:
    def __init__(self, tables: AwsTables, clock: Clock) -> None:
        self._tables = tables
        self._clock = clock
        self._followed: dict[Key, _Followed] = {}
        self._reader: asyncio.Task[None] | None = None

    async def changed(self, key: Key, wait_seconds: float) -> bool:
        followed = self._followed.get(key)
        if followed is None:
            if len(self._followed) >= WATCHED_KEYS_MAX:
                # Too many to poll: a timer is a hint as well.
                await self._clock.sleep(min(wait_seconds, PAUSE_SECONDS_MAX))
                return True
            (item,) = await self._tables.read([key], consistent=False)
            self._followed.setdefault(key, _Followed(_mark(item), self._clock.monotonic() + PAUSE_SECONDS_FIRST))
            return True
        if not followed.changed and wait_seconds > 0:
            self._start_reader()
            followed.waiters += 1
            try:
                await followed.bell.wait(self._clock, wait_seconds)
            finally:
                followed.waiters -= 1
        changed, followed.changed = followed.changed, False
        return changed

    async def forget(self, key: Key) -> None:
        self._followed.pop(key, None)

    async def close(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    def _start_reader(self) -> None:
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read_while_followed())

    async def _read_while_followed(self) -> None:
        """Ends by itself when nobody waits."""
        while waited := [followed for followed in self._followed.values() if followed.waiters]:
            soonest = min(followed.due for followed in waited)
            await self._clock.sleep(max(soonest - self._clock.monotonic(), 0.0) + ROUND_SECONDS)
            now = self._clock.monotonic()
            due = [key for key, each in self._followed.items() if each.waiters and each.due <= now]
            for start in range(0, len(due), BATCH_ITEMS_MAX):
                await self._compare(due[start : start + BATCH_ITEMS_MAX])

    async def _compare(self, keys: list[Key]) -> None:
        try:
            items = await self._tables.read(keys, consistent=False)
        except BackboneError as error:
            _LOGGER.warning("followed items could not be read and are tried again: %s", error)
            items = None
        now = self._clock.monotonic()
        for place, key in enumerate(keys):
            followed = self._followed.get(key)
            if followed is None:
                continue
            mark = followed.mark if items is None else _mark(items[place])
            if mark != followed.mark:
                followed.mark, followed.changed = mark, True
                followed.pause_seconds = PAUSE_SECONDS_FIRST
                followed.bell.ring()
            else:
                followed.pause_seconds = min(followed.pause_seconds * PAUSE_GROWTH, PAUSE_SECONDS_MAX)
            followed.due = now + followed.pause_seconds


def _mark(item: Item | None) -> int:
    """Differs for another content; DynamoDB may give maps in another order, which costs a needless look."""
    return hash(msgspec.msgpack.encode(item))
