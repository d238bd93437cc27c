"""Reads and changes limits: each change is made from the one before it, and leaves its record in the same transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, assert_never

from penstock_api.domain.limit_change import LimitChange
from penstock_api.domain.limits import change_view, limit_view
from penstock_api.domain.views import LimitChangePage, LimitPage, LimitView
from penstock_backbone.errors import Retryable
from penstock_backbone.ports import Clock, Ids, Tables
from penstock_backbone.records.limits import (
    FLEET,
    all_limits,
    change_limit,
    changes_of,
    limit_key,
    stated,
    version_of,
)
from penstock_backbone.records.times import to_ms
from penstock_backbone.vocabulary import Cancelled, Committed, Item, Put

ATTEMPTS_MAX = 3
BACKOFF_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Changed:
    limit: LimitView


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Another change came first; `now` is what it made."""

    now: LimitView


Verdict: TypeAlias = Changed | Overtaken


class Limits:
    def __init__(self, tables: Tables, clock: Clock, ids: Ids) -> None:
        self._tables = tables
        self._clock = clock
        self._ids = ids

    async def page(self, limit: int, cursor: str | None) -> LimitPage:
        """The first page begins with the fleet, whether anybody has said anything about it or not."""
        page = await self._tables.query(all_limits(cursor, limit))
        found = [limit_view(item["sk"], item) for item in page.items]
        if cursor is None and not any(item["sk"] == FLEET for item in page.items):
            found.insert(0, limit_view(FLEET, None))
        return LimitPage(limits=found, next_cursor=page.cursor)

    async def one(self, scope: str) -> LimitView:
        return limit_view(scope, await self._item(scope))

    async def changes(self, scope: str, limit: int, cursor: str | None) -> LimitChangePage:
        page = await self._tables.query(changes_of(scope, limit=limit, cursor=cursor))
        return LimitChangePage(changes=[change_view(item) for item in page.items], next_cursor=page.cursor)

    async def change(self, scope: str, wish: LimitChange, who: str) -> Verdict:
        """Without a version in `wish` the change is made from what stands there now."""
        old = await self._item(scope)
        if wish.names_version and wish.version != version_of(old):
            return Overtaken(limit_view(scope, old))
        put, record = change_limit(
            scope,
            old,
            wish.upon(stated(scope, old)),
            change=self._ids.new("chg"),
            who=who,
            at=to_ms(self._clock.now()),
        )
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                return await self._transact(scope, put, record)
            except Retryable:
                if attempt == ATTEMPTS_MAX:
                    raise
                await self._clock.sleep(BACKOFF_SECONDS * attempt)
        raise AssertionError("the last attempt returns or raises")

    async def _transact(self, scope: str, put: Put, record: Put) -> Verdict:
        outcome = await self._tables.transact([put, record])
        match outcome:
            case Committed():
                return Changed(limit_view(scope, put.item))
            case Cancelled((_, refused)) if refused is not None:
                # The record bears a name of its own, so only our own earlier success can have written it.
                return Changed(limit_view(scope, put.item))
            case Cancelled((refused, _)) if refused is not None:
                return Overtaken(limit_view(scope, refused.item))
            case Cancelled():
                raise Retryable("another transaction touched the same items: try again")
            case _ as never:
                assert_never(never)

    async def _item(self, scope: str) -> Item | None:
        (item,) = await self._tables.get([limit_key(scope)])
        return item
