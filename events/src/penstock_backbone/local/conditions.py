"""Conditions and updates evaluated over a dict, with DynamoDB's meaning for missing attributes and types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock_backbone.errors import Invalid
from penstock_backbone.vocabulary import And, Condition, Equals, Exists, Greater, Item, Less, Missing, Or, Update

_ABSENT: Any = object()


def holds(condition: Condition | None, item: Item | None) -> bool:
    """Whether the condition is true of the item (None: nothing stands there)."""
    return condition is None or _TESTS[type(condition)](condition, item or {})


def updated(item: Item, update: Update) -> Item:
    """A new item; the maps along changed paths are copied, everything else is shared with the old one."""
    new = dict(item)
    copied: set[str] = set()
    for path, value in update.set.items():
        parent, name = _parent(new, path, copied)
        parent[name] = value
    for path in update.remove:
        parent, name = _parent(new, path, copied)
        parent.pop(name, None)
    return new


def _parent(item: Item, path: str, copied: set[str]) -> tuple[dict[str, Any], str]:
    """The map that holds the last name of the path, made safe to change."""
    if "/" not in path:
        return item, path
    *way, name = path.split("/")
    here, walked = item, ""
    for step in way:
        inner = here.get(step)
        if type(inner) is not dict:
            raise Invalid(f"the path {path!r} leads through {step!r}, which is not a map of this item")
        walked = f"{walked}/{step}"
        if walked not in copied:
            copied.add(walked)
            inner = here[step] = dict(inner)
        here = inner
    return here, name


def _find(item: Item, path: str) -> Any:
    if "/" not in path:
        return item.get(path, _ABSENT)
    here: Any = item
    for step in path.split("/"):
        if type(here) is not dict:
            return _ABSENT
        here = here.get(step, _ABSENT)
        if here is _ABSENT:
            return _ABSENT
    return here


def identical(left: Any, right: Any) -> bool:
    """Equal with all types equal, all the way down: 1 and true differ; a tuple is a list."""
    kind = list if type(left) is tuple else type(left)
    if kind is not (list if type(right) is tuple else type(right)):
        return False
    if kind is dict:
        return left.keys() == right.keys() and all(identical(part, right[name]) for name, part in left.items())
    if kind is list:
        return len(left) == len(right) and all(map(identical, left, right))
    return bool(left == right)


def _equals(condition: Equals, item: Item) -> bool:
    return identical(_find(item, condition.path), condition.value)


def _less(condition: Less, item: Item) -> bool:
    found: Any = _find(item, condition.path)
    bound: Any = condition.value
    return type(found) is type(bound) and bool(found < bound)


def _greater(condition: Greater, item: Item) -> bool:
    found: Any = _find(item, condition.path)
    bound: Any = condition.value
    return type(found) is type(bound) and bool(found > bound)


def _exists(condition: Exists, item: Item) -> bool:
    return _find(item, condition.path) is not _ABSENT


def _missing(condition: Missing, item: Item) -> bool:
    return _find(item, condition.path) is _ABSENT


def _and(condition: And, item: Item) -> bool:
    return all(holds(part, item) for part in condition.all)


def _or(condition: Or, item: Item) -> bool:
    return any(holds(part, item) for part in condition.any)


_TESTS: dict[type, Callable[[Any, Item], bool]] = {
    Equals: _equals, Less: _less, Greater: _greater, Exists: _exists, Missing: _missing, And: _and, Or: _or,
}  # fmt: skip
