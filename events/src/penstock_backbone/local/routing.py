"""Which queues an event goes to, by EventBridge's pattern language, and what it looks like there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import msgspec

from penstock_backbone.errors import Invalid
from penstock_backbone.inventory import Inventory, Rule
from penstock_backbone.local.limits import EVENT_ENTRY_BYTES_MAX, check_text_size
from penstock_backbone.vocabulary import BusEntry

_ABSENT: Any = object()
_HEAD_FIELDS = frozenset({"source", "detail-type"})


class Router:
    """Compiled once from the inventory; patterns beyond what is listed in _matches are refused at once."""

    def __init__(self, inventory: Inventory) -> None:
        self._rules: list[Rule] = list(inventory.rules)
        for rule in self._rules:
            check_pattern(rule.pattern, rule.name)
        self._by_head: dict[tuple[str, str], list[Rule]] = {}

    def queues(self, entry: BusEntry) -> list[str]:
        """Names of the queues whose rules match, each once."""
        head = (entry.source, entry.detail_type)
        candidates = self._by_head.get(head)
        if candidates is None:
            top = {"source": entry.source, "detail-type": entry.detail_type}
            candidates = [
                rule
                for rule in self._rules
                if all(_matches(rule.pattern[name], top[name]) for name in _HEAD_FIELDS & rule.pattern.keys())
            ]
            self._by_head[head] = candidates
        if not candidates:
            return []
        event: dict[str, Any] | None = None
        found: dict[str, None] = {}
        for rule in candidates:
            rest = {name: part for name, part in rule.pattern.items() if name not in _HEAD_FIELDS}
            if rest and event is None:
                event = {"detail": msgspec.json.decode(entry.detail)}
            if not rest or _matches_map(rest, event or {}):
                found[rule.queue] = None
        return list(found)


def refusal(entry: BusEntry) -> str | None:
    """Why EventBridge would not take this entry, or None."""
    if not entry.source or not entry.detail_type:
        return "an event has a source and a detail type"
    too_large = check_text_size(entry.detail, EVENT_ENTRY_BYTES_MAX, "the event")
    if too_large:
        return too_large
    try:
        detail = msgspec.json.decode(entry.detail)
    except msgspec.DecodeError:
        return "the event's detail is not JSON"
    return None if isinstance(detail, dict) else "the event's detail is not a JSON object"


def event_body(entry: BusEntry, identity: str, at: datetime) -> str:
    """The JSON that a rule's target receives, in EventBridge's shape."""
    event = {
        "version": "0",
        "id": identity,
        "detail-type": entry.detail_type,
        "source": entry.source,
        "account": "000000000000",
        "time": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": "local",
        "resources": [],
        "detail": msgspec.Raw(entry.detail.encode()),
    }
    return msgspec.json.encode(event).decode()


def check_pattern(pattern: dict[str, Any], rule: str) -> None:
    for name, part in pattern.items():
        if isinstance(part, dict):
            check_pattern(part, rule)
        elif not isinstance(part, list) or not all(_is_known(option) for option in part):
            raise Invalid(f"the rule {rule!r} uses a pattern at {name!r} that only EventBridge itself understands")


def _is_known(option: Any) -> bool:
    return not isinstance(option, dict) or (len(option) == 1 and next(iter(option)) in _OPERATORS)


def _matches_map(pattern: dict[str, Any], event: Any) -> bool:
    return isinstance(event, dict) and all(
        _matches_map(part, event.get(name)) if isinstance(part, dict) else _matches(part, event.get(name, _ABSENT))
        for name, part in pattern.items()
    )


def _matches(options: Iterable[Any], value: Any) -> bool:
    """Any option of the list may hold; a list in the event matches if any of its elements does."""
    values = value if isinstance(value, list) else [value]
    return any(_matches_option(option, each) for option in options for each in values)


def _matches_option(option: Any, value: Any) -> bool:
    if isinstance(option, dict):
        ((operator, operand),) = option.items()
        return _OPERATORS[operator](operand, value)
    return value is not _ABSENT and type(option) is type(value) and bool(option == value)


def _anything_but(operand: Any, value: Any) -> bool:
    refused = operand if isinstance(operand, list) else [operand]
    return value is not _ABSENT and value not in refused


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "prefix": lambda operand, value: isinstance(value, str) and value.startswith(operand),
    "suffix": lambda operand, value: isinstance(value, str) and value.endswith(operand),
    "anything-but": _anything_but,
    "exists": lambda operand, value: (value is not _ABSENT) == operand,
}
