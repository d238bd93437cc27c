"""Writes the contract for readers in other languages: one JSON Schema a fact, and an AsyncAPI document.

`python -m penstock_events.schemas` at the root of a checkout writes events/schemas/; a test fails while they are stale.
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from penstock_events.envelope import EVENT_BYTES_MAX, Metadata
from penstock_events.facts import FACTS, Fact

CONTRACT_VERSION = "1.0.1"
"""The last number rises with a wording, the middle one with a new fact or field, the first with a fact's new version."""
EVENT_SOURCE = "penstock"
BUS_ADDRESS = "{stack}-penstock"
FOLDER = Path("events/schemas")

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _WithoutFieldTitles(GenerateJsonSchema):
    """A title that only repeats the field's name costs more reading than it saves."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  # pydantic's signature
        return False


def documents() -> dict[str, str]:
    """File name → text, everything that belongs into FOLDER."""
    files = {f"{name}.schema.json": _fact_schema(model) for name, model in FACTS.items()}
    files["asyncapi.json"] = _asyncapi()
    return {name: json.dumps(document, indent=2, ensure_ascii=False) + "\n" for name, document in files.items()}


def _fact_schema(model: type[Fact]) -> dict[str, Any]:
    """The whole `detail` of an event of this type, in one file without references to others."""
    definitions = _definitions([Metadata, model], "#/$defs/{model}")
    return {
        "$schema": _DIALECT,
        "$id": f"urn:penstock:events:{model.__name__}:{model.version}",
        "title": model.__name__,
        **_described(model),
        **_detail(model, "#/$defs/"),
        "$defs": definitions,
    }


def _detail(model: type[Fact], definitions_at: str) -> dict[str, Any]:
    named = {"type": {"const": model.__name__}, "version": {"const": model.version}}
    return {
        "type": "object",
        "required": ["metadata", "data"],
        "properties": {
            "metadata": {"allOf": [{"$ref": f"{definitions_at}Metadata"}, {"properties": named}]},
            "data": {"$ref": f"{definitions_at}{model.__name__}"},
        },
    }


def _asyncapi() -> dict[str, Any]:
    messages = {name: {"$ref": f"#/components/messages/{name}"} for name in FACTS}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Penstock events",
            "version": CONTRACT_VERSION,
            "description": (
                "The facts of each run's story. Delivered at least once and in any order: drop an event_id that you have "
                "seen, order by sequence, ignore types and fields that you do not know."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "bus": {
                "address": BUS_ADDRESS,
                "title": "The event bus",
                "parameters": {
                    "stack": {
                        "description": "What every name of the stack begins with; `pulumi stack output event_bus` says the whole.",
                        "examples": ["acme-penstock"],
                    }
                },
                "description": (
                    f"An Amazon EventBridge bus. `source` is {EVENT_SOURCE!r}, `detail-type` is the fact's type, and "
                    f"`detail` is the payload described here, at most {EVENT_BYTES_MAX} bytes."
                ),
                "messages": messages,
            }
        },
        "operations": {
            "publishFacts": {
                "action": "send",
                "summary": "Penstock tells what happened.",
                "channel": {"$ref": "#/channels/bus"},
                "messages": [{"$ref": f"#/channels/bus/messages/{name}"} for name in FACTS],
            }
        },
        "components": {
            "messages": {name: _message(model) for name, model in FACTS.items()},
            "schemas": _definitions([Metadata, *FACTS.values()], "#/components/schemas/{model}"),
        },
    }


def _message(model: type[Fact]) -> dict[str, Any]:
    return {
        "name": model.__name__,
        "title": model.__name__,
        **_described(model),
        "contentType": "application/json",
        "payload": _detail(model, "#/components/schemas/"),
    }


def _described(model: type[Fact]) -> dict[str, str]:
    """Only a fact's own words: a class without a docstring would show its parent's."""
    return {"description": inspect.cleandoc(model.__doc__)} if model.__doc__ else {}


def _definitions(models: list[type[Any]], reference: str) -> dict[str, Any]:
    """As they are written (serialization): readers must accept absent optional fields and unknown ones."""
    _, schema = models_json_schema(
        [(model, "serialization") for model in models], ref_template=reference, schema_generator=_WithoutFieldTitles
    )
    definitions: dict[str, Any] = schema["$defs"]
    return definitions


def main() -> int:
    if not FOLDER.is_dir():
        sys.stderr.write(f"There is no folder {FOLDER} here: run this at the root of a checkout of Penstock.\n")
        return 1
    wanted = documents()
    for stale in {path.name for path in FOLDER.glob("*.json")} - wanted.keys():
        (FOLDER / stale).unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    sys.stdout.write(f"{len(wanted)} documents are in {FOLDER}.\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
