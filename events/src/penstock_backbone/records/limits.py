"""The limits table: how many runs may hold a token, by scope; and the boards on which the waiting see their place.

    LIMITS          / fleet | tenant#<tenant> | workflow#<name>  {limit, at}
    BOARD#<tenant>  / BOARD  {waiting, held, places: [run id, …] (the first PLACES_MAX in order), at}

A scope without an item has no limit of its own, except the fleet: FLEET_LIMIT_DEFAULT.
"""

from __future__ import annotations

from penstock_backbone.inventory import LIMITS
from penstock_backbone.vocabulary import Item, Key, Put, Query

LIMITS_PK = "LIMITS"
BOARD_SK = "BOARD"
FLEET = "fleet"
FLEET_LIMIT_DEFAULT = 5
LIMIT_MAX = 100_000
PLACES_MAX = 200


def tenant_scope(tenant: str) -> str:
    return f"tenant#{tenant}"


def workflow_scope(workflow: str) -> str:
    return f"workflow#{workflow}"


def limit_key(scope: str) -> Key:
    return Key(LIMITS, LIMITS_PK, scope)


def set_limit(scope: str, *, limit: int, at: int) -> Put:
    """An operator's word; the last one stands, so it needs no condition."""
    return Put(limit_key(scope), {"limit": limit, "at": at})


def all_limits(cursor: str | None = None) -> Query:
    return Query(LIMITS, LIMITS_PK, limit=1000, cursor=cursor)


def board_key(tenant: str) -> Key:
    return Key(LIMITS, f"BOARD#{tenant}", BOARD_SK)


def write_board(tenant: str, *, waiting: int, held: int, places: list[str], at: int) -> Put:
    """Orchestrator, a few times a second at most. A picture, not a truth: the last one stands."""
    item: Item = {"waiting": waiting, "held": held, "places": places, "at": at}
    return Put(board_key(tenant), item)
