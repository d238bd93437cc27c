"""The limits table: how many runs may hold a token, by scope; and the boards on which the waiting see their place.

    LIMITS           / fleet | tenant#<tenant> | workflow#<name> | resource#<name>  {limit, at, weight?, min_share?, paused?, yields?, change?}
    LIMITS           / shards  {limit, at, change?}: over how many shards the tenants shall be spread
    CHANGES#<scope>  / <at>#<change>  {scope, change, who, at, old: {…} | null, new: {…}}
    BOARD#<tenant>   / BOARD  {waiting, held, places: [run id, …] (the first PLACES_MAX in order),
                              holders: [[run id, workflow, resource…], …] (HOLDERS_MAX of them), at, passed_over?}
    IN_USE#<scope>   / BOARD  {held, durations: [ms, …] (a workflow's last DURATIONS_MAX runs), at, hungry? (the fleet's)}

A scope without an item has no limit of its own, except the fleet: FLEET_LIMIT_DEFAULT. `limit` NO_LIMIT says the same
of another scope that has an item for another reason. `change` names the change that made the item as it is: the
next change is refused unless it was made from that one, and each leaves its record in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, TypeGuard

from penstock_backbone.inventory import LIMITS, LIMITS_PK
from penstock_backbone.vocabulary import And, Check, Condition, Equals, Exists, Item, Key, Missing, Put, Query

BOARD_SK = "BOARD"
FLEET = "fleet"
SHARDS = "shards"
"""No scope of runs: its limit is the number of the orchestrator's shards (records.shards)."""
SHARDS_DEFAULT = 1
SHARDS_MAX = 16
FLEET_LIMIT_DEFAULT = 5
LIMIT_MAX = 100_000
NO_LIMIT = "none"
WEIGHT_DEFAULT = 1
WEIGHT_MAX = 1_000
PLACES_MAX = 200
HOLDERS_MAX = 20
HUNGRY_MAX = 2
"""Who is one of them needs to know only whether there is another."""
DURATIONS_MAX = 100
RESOURCES_MAX = 8
"""That the stages of one workflow use."""
RESOURCE_NAME_PATTERN = r"[a-z][a-z0-9_-]{0,19}:[A-Za-z0-9][A-Za-z0-9._-]{0,79}"
"""A sort of resource and its name: "model:sonnet"."""


class Stated(NamedTuple):
    """What an operator has said about a scope. `limit` None: none of its own. `weight` and `min_share` are a tenant's,
    `yields` is the fleet's: whether runs are asked to yield to tenants that hold no slot."""

    limit: int | None
    weight: int = WEIGHT_DEFAULT
    min_share: int = 0
    paused: bool = False
    yields: bool = False


def tenant_scope(tenant: str) -> str:
    return f"tenant#{tenant}"


def workflow_scope(workflow: str) -> str:
    return f"workflow#{workflow}"


def resource_scope(resource: str) -> str:
    """A resource that runs of several workflows use, as their stages name it: "model:sonnet"."""
    return f"resource#{resource}"


def is_shared(scope: str) -> bool:
    """Whether runs of several tenants are counted in it, the fleet aside."""
    return scope.startswith((workflow_scope(""), resource_scope("")))


@lru_cache(maxsize=10_000)
def shared_scopes(workflow: str, resources: tuple[str, ...]) -> tuple[str, ...]:
    """The scopes that a run shares with other tenants' runs beside the fleet: its workflow, then its resources."""
    return (workflow_scope(workflow), *map(resource_scope, resources))


def limit_key(scope: str) -> Key:
    return Key(LIMITS, LIMITS_PK, scope)


def stated(scope: str, item: Item | None) -> Stated:
    """What is in force without an item, too. What cannot be read is taken for the default."""
    absent = {FLEET: FLEET_LIMIT_DEFAULT, SHARDS: SHARDS_DEFAULT}.get(scope)
    if item is None:
        return Stated(absent)
    return Stated(
        limit if is_number(limit := item.get("limit"), 0, LIMIT_MAX) else absent,
        weight if is_number(weight := item.get("weight"), 1, WEIGHT_MAX) else WEIGHT_DEFAULT,
        share if is_number(share := item.get("min_share"), 0, LIMIT_MAX) else 0,
        item.get("paused") is True,
        item.get("yields") is True,
    )


def is_unreadable(scope: str, item: Item | None) -> bool:
    """Whether an item is there and says no limit that can be read. What counts then is not the default: the orchestrator
    keeps the last one that it has read, and without one it lets nothing in."""
    if item is None or is_number(limit := item.get("limit"), 0, LIMIT_MAX):
        return False
    return limit != NO_LIMIT or scope == FLEET


def limit_stands(scope: str, item: Item | None) -> Check:
    """For a transaction: the scope's limit is the one that `item` was read to say (None: there was no item), and so is
    whether runs yield."""
    when: Condition = Missing("pk")
    if item is not None:
        said = [Equals(name, item[name]) if name in item else Missing(name) for name in ("limit", "paused", "yields")]
        when = And(tuple(said))
    return Check(limit_key(scope), when)


def is_number(value: object, least: int, most: int) -> TypeGuard[int]:
    return type(value) is int and least <= value <= most


def version_of(item: Item | None) -> str | None:
    """Another one after each change, and never the same again. None: nobody has said anything about the scope."""
    if item is None:
        return None
    return str(item.get("change") or f"at_{item.get('at')}")


def change_limit(scope: str, old: Item | None, new: Stated, *, change: str, who: str, at: int) -> tuple[Put, Put]:
    """An operator's word and its record, for one transaction. `old` is the item that the change was made from.

    A record that is refused with our own `change` says that the transaction had succeeded before, whatever has
    happened to the limit since.
    """
    limit = NO_LIMIT if new.limit is None else new.limit
    item: Item = {"limit": limit, "weight": new.weight, "min_share": new.min_share, "paused": new.paused, "at": at}
    if new.yields:
        item["yields"] = True
    before = None if old is None else stated(scope, old)._asdict()
    record: Item = {
        "scope": scope, "change": change, "who": who, "at": at, "old": before, "new": new._asdict(),
    }  # fmt: skip
    return (
        Put(limit_key(scope), item | {"change": change}, when=_unchanged(old)),
        Put(Key(LIMITS, _changes_pk(scope), f"{at:015d}#{change}"), record, when=Missing("pk")),
    )


def changes_of(scope: str, *, limit: int, cursor: str | None = None) -> Query:
    """The records of a scope's changes, the latest first."""
    return Query(LIMITS, _changes_pk(scope), descending=True, limit=limit, cursor=cursor)


def _changes_pk(scope: str) -> str:
    return f"CHANGES#{scope}"


def _unchanged(old: Item | None) -> Condition:
    if old is None:
        return Missing("pk")
    if "change" in old:
        return Equals("change", old["change"])
    made: Condition = Equals("at", old["at"]) if "at" in old else Missing("at")
    return Exists("pk") & Missing("change") & made


def all_limits(cursor: str | None = None, limit: int = 1000) -> Query:
    return Query(LIMITS, LIMITS_PK, limit=limit, cursor=cursor)


def board_key(tenant: str) -> Key:
    return Key(LIMITS, f"BOARD#{tenant}", BOARD_SK)


def write_board(
    tenant: str,
    *,
    waiting: int,
    held: int,
    places: list[str],
    at: int,
    holders: Sequence[Sequence[str]] = (),
    passed_over: int = 0,
) -> Put:
    """Orchestrator, a few times a second at most. A picture, not a truth: the last one stands. `passed_over`: so many of
    those that wait are kept out by more than the tenant's limit and the fleet's."""
    item: Item = {
        "waiting": waiting,
        "held": held,
        "places": places,
        "holders": [list(each) for each in holders],
        "at": at,
    }
    if passed_over:
        item["passed_over"] = passed_over
    return Put(board_key(tenant), item)


def in_use_key(scope: str) -> Key:
    return Key(LIMITS, f"IN_USE#{scope}", BOARD_SK)


def use_key(scope: str) -> Key:
    """Where a scope's `held` stands: a tenant's on its board."""
    tenant = scope.removeprefix(tenant_scope(""))
    return in_use_key(scope) if tenant == scope else board_key(tenant)


def in_use_of(scope: str) -> Query:
    """The one item at in_use_key, for those who may only query."""
    return Query(LIMITS, f"IN_USE#{scope}", limit=1)


def write_in_use(scope: str, *, held: int, durations: Sequence[int], at: int, hungry: int = 0) -> Put:
    """As write_board, for the scopes that tenants share: only numbers, because the runs may be other tenants'. `hungry`, of
    the fleet: so many tenants, HUNGRY_MAX at most, hold nothing and have somebody waiting whom only its limit can keep out."""
    item: Item = {"held": held, "durations": list(durations), "at": at}
    return Put(in_use_key(scope), item | ({"hungry": hungry} if hungry else {}))


def write_measured(scope: str, *, held: int, durations: Sequence[int], at: int, seen: Item | None) -> Put:
    """As write_in_use, for a workflow, whose `durations` several processes measure: refused where another one has drawn since
    the board `seen` (None: there was none). So `at` is later than there, whatever the clocks say."""
    if seen is None:
        when: Condition = Missing("pk")
    elif type(drawn := seen.get("at")) is int:
        when, at = Equals("at", drawn), max(at, drawn + 1)
    else:
        when = Exists("pk")
    return Put(in_use_key(scope), write_in_use(scope, held=held, durations=durations, at=at).item, when=when)
