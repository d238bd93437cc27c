"""Bytes to events and back. A type this reader does not know is a value, not a crash."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import ValidationError

from penstock_events.envelope import EVENT_BYTES_MAX, Metadata
from penstock_events.facts import FACTS, Fact
from penstock_events.upcasters import upcast


@dataclass(frozen=True, slots=True)
class Event:
    """A fact this reader understands."""

    metadata: Metadata
    fact: Fact


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """A well-formed event of a type, or a version, newer than this reader. Ignore it or pass it on."""

    metadata: Metadata
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Malformed:
    """Not an event of this contract; `reason` is for the log."""

    reason: str


Decoded: TypeAlias = Event | UnknownEvent | Malformed


class EventTooLarge(ValueError):
    """The encoded event is over EVENT_BYTES_MAX."""


def encode(event: Event | UnknownEvent) -> str:
    """JSON text of `{metadata, data}`, UTF-8, at most EVENT_BYTES_MAX bytes."""
    data = event.fact.model_dump(mode="json") if isinstance(event, Event) else event.data
    text = json.dumps(
        {"metadata": event.metadata.model_dump(mode="json"), "data": data}, ensure_ascii=False, separators=(",", ":")
    )
    if len(text.encode()) > EVENT_BYTES_MAX:
        message = f"{event.metadata.type} of {event.metadata.run_id} is over {EVENT_BYTES_MAX} bytes"
        raise EventTooLarge(message)
    return text


def decode(text: str | bytes) -> Decoded:
    """Never raises for anything a peer may send."""
    if len(text) > EVENT_BYTES_MAX:
        return Malformed(f"over {EVENT_BYTES_MAX} bytes")
    try:
        raw = json.loads(text)
        metadata = Metadata.model_validate(raw["metadata"])
        data = raw["data"]
        if not isinstance(data, dict):
            return Malformed("data is not an object")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return Malformed(f"{type(error).__name__}: {str(error)[:200]}")
    model = FACTS.get(metadata.type)
    if model is None or metadata.version > model.version:
        return UnknownEvent(metadata, data)
    try:
        return Event(metadata, model.model_validate(upcast(metadata.type, metadata.version, data)))
    except ValidationError as error:
        return Malformed(f"{metadata.type}: {error.error_count()} invalid fields, first {error.errors()[0]['loc']}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Malformed(f"{metadata.type} of version {metadata.version} cannot be read as today's: {error!r:.200}")
