"""Limits as a test wants them to be."""

from __future__ import annotations

from penstock_backbone.records.limits import limit_key
from penstock_backbone.vocabulary import Put


def set_limit(scope: str, *, limit: int, at: int, yields: bool = False) -> Put:
    """The last word stands, so it needs no condition, and nobody records it. The product changes limits with `change_limit`."""
    return Put(limit_key(scope), {"limit": limit, "at": at} | ({"yields": True} if yields else {}))
