"""Limits and their changes as answers."""

from __future__ import annotations

from typing import Any

from penstock_api.domain.views import LimitChangeView, LimitView, StatedView
from penstock_backbone.records.limits import (
    FLEET,
    SHARDS,
    SHARDS_DEFAULT,
    Stated,
    is_unreadable,
    stated,
    tenant_scope,
    version_of,
)
from penstock_backbone.records.times import to_text
from penstock_backbone.vocabulary import Item

_TENANTS = tenant_scope("")
_UNREADABLE = (
    "What stands there as its limit cannot be read: the last one that could be stays in force, and without one nothing is "
    "let in. State a limit to set it right."
)


def limit_view(scope: str, item: Item | None, use: Item | None) -> LimitView:
    """`use` says how many of its runs hold a slot (records.limits.use_key), and of the shards how many there are."""
    said = stated(scope, item)
    unreadable = is_unreadable(scope, item)
    at = item.get("at") if item else None
    held = use["held"] if use else SHARDS_DEFAULT if scope == SHARDS else 0
    return LimitView(
        scope=address_of(scope),
        state="open" if not said.paused else "draining" if held else "drained",
        held=held,
        version=version_of(item),
        changed_at=to_text(at) if type(at) is int else None,
        limit_unknown=_UNREADABLE if unreadable else None,
        **_fields(scope, said._replace(limit=None) if unreadable else said),
    )


def change_view(item: Item) -> LimitChangeView:
    scope, old = item["scope"], item["old"]
    return LimitChangeView(
        change=item["change"],
        who=item["who"],
        at=to_text(item["at"]),
        old=None if old is None else StatedView(**_fields(scope, Stated(**old))),
        new=StatedView(**_fields(scope, Stated(**item["new"]))),
    )


def address_of(scope: str) -> str:
    """tenant/acme: as in the address under /v1/limits/."""
    return scope.replace("#", "/", 1)


def _fields(scope: str, said: Stated) -> dict[str, Any]:
    of_tenant = scope.startswith(_TENANTS)
    return {
        "limit": said.limit,
        "weight": said.weight if of_tenant else None,
        "min_share": said.min_share if of_tenant else None,
        "paused": said.paused,
        "yields": said.yields if scope == FLEET else None,
    }
