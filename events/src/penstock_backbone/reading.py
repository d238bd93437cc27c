"""Reads whole partitions, page by page."""

from __future__ import annotations

from msgspec.structs import replace

from penstock_backbone.errors import Fatal
from penstock_backbone.ports import Tables
from penstock_backbone.vocabulary import Item, Query

PAGES_MAX = 100_000


async def read_whole(tables: Tables, query: Query) -> list[Item]:
    """Everything that the query finds; its limit is a page's. Raises what the port raises, and Fatal after PAGES_MAX pages."""
    items: list[Item] = []
    for _ in range(PAGES_MAX):
        page = await tables.query(query)
        items += page.items
        if page.cursor is None:
            return items
        query = replace(query, cursor=page.cursor)
    raise Fatal(f"{query.table} {query.pk} has more items than one process can hold: {len(items)} were read")
