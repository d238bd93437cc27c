"""Reads and changes limits: each change is made from the one before it, and leaves its record in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
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
    is_unreadable,
    limit_key,
    stated,
    use_key,
    version_of,
)
from penstock_backbone.records.times import to_ms
from penstock_backbone.vocabulary import BATCH_ITEMS_MAX, Cancelled, Committed, Item, Put

ATTEMPTS_MAX = 3
BACKOFF_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Changed:
    limit: LimitView


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Another change came first; `now` is what it made."""

    now: LimitView


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The wish leaves the limit as it is, and nobody can read that."""


Verdict: TypeAlias = Changed | Overtaken | Unreadable


class Limits:
    def __init__(self, tables: Tables, clock: Clock, ids: Ids) -> None:
        self._tables = tables
        self._clock = clock
        self._ids = ids

    async def page(self, limit: int, cursor: str | None) -> LimitPage:
        """The first page begins with the fleet, whether anybody has said anything about it or not."""
        page = await self._tables.query(all_limits(cursor, limit))
        items: dict[str, Item | None] = {item["sk"]: item for item in page.items}
        if cursor is None and FLEET not in items:
            items = {FLEET: None, **items}
        uses = await self._uses(list(items))
        found = [limit_view(scope, item, use) for (scope, item), use in zip(items.items(), uses, strict=True)]
        return LimitPage(limits=found, next_cursor=page.cursor)

    async def one(self, scope: str) -> LimitView:
        item, use = await self._tables.get([limit_key(scope), use_key(scope)])
        return limit_view(scope, item, use)

    async def changes(self, scope: str, limit: int, cursor: str | None) -> LimitChangePage:
        page = await self._tables.query(changes_of(scope, limit=limit, cursor=cursor))
        return LimitChangePage(changes=[change_view(item) for item in page.items], next_cursor=page.cursor)

    async def change(self, scope: str, wish: LimitChange, who: str) -> Verdict:
        """Without a version in `wish` the change is made from what stands there now."""
        old, use = await self._tables.get([limit_key(scope), use_key(scope)])
        if wish.names_version and wish.version != version_of(old):
            return Overtaken(limit_view(scope, old, use))
        if is_unreadable(scope, old) and not wish.names_limit:
            return Unreadable()
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
                return await self._transact(scope, put, record, use)
            except Retryable:
                if attempt == ATTEMPTS_MAX:
                    raise
                await self._clock.sleep(BACKOFF_SECONDS * attempt)
        raise AssertionError("the last attempt returns or raises")

    async def _transact(self, scope: str, put: Put, record: Put, use: Item | None) -> Verdict:
        outcome = await self._tables.transact([put, record])
        match outcome:
            case Committed():
                return Changed(limit_view(scope, put.item, use))
            case Cancelled((_, refused)) if refused is not None:
                # The record bears a name of its own, so only our own earlier success can have written it.
                return Changed(limit_view(scope, put.item, use))
            case Cancelled((refused, _)) if refused is not None:
                return Overtaken(limit_view(scope, refused.item, use))
            case Cancelled():
                raise Retryable("another transaction touched the same items: try again")
            case _ as never:
                assert_never(never)

    async def _uses(self, scopes: Sequence[str]) -> list[Item | None]:
        keys = list(map(use_key, scopes))
        batches = [keys[start : start + BATCH_ITEMS_MAX] for start in range(0, len(keys), BATCH_ITEMS_MAX)]
        return [item for batch in batches for item in await self._tables.get(batch)]
