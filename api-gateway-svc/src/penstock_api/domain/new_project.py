"""What POST /v1/projects may say: the body becomes a NewProject, or the list of everything that is wrong with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field, JsonValue, ValidationError

from penstock_api.domain.text import (
    BLANKS,
    code_point,
    first_control,
    first_unprintable,
    with_plain_newlines,
    without_unprintable,
)

BODY_BYTES_MAX = 256 * 1024
REQUIREMENT_CHARS_MIN = 10
REQUIREMENT_CHARS_MAX = 10_000
NAME_CHARS_MAX = 200
DERIVED_NAME_CHARS_MAX = 60
DERIVED_NAME_CHARS_MIN = 20
"""A derived name ends between two words when that leaves at least so much."""
WORKFLOW_CHARS_MAX = 100
INPUT_BYTES_MAX = 32 * 1024
TAGS_MAX = 20
TAG_CHARS_MAX = 50
PRIORITY_MIN, PRIORITY_MAX, PRIORITY_DEFAULT = 1, 5, 3
WORKFLOW_DEFAULT = "agent_build"
VIOLATIONS_MAX = 50
FIELD_CHARS_MAX = 100

_MESSAGES = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this request",
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "list_type": "must be a list of strings",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "too_long": f"may have at most {TAGS_MAX} tags",
    "greater_than_equal": f"must be from {PRIORITY_MIN} to {PRIORITY_MAX}",
    "less_than_equal": f"must be from {PRIORITY_MIN} to {PRIORITY_MAX}",
    "int_parsing_size": f"must be from {PRIORITY_MIN} to {PRIORITY_MAX}",
}
"""Pydantic's error types in plain words; our own validators raise theirs."""
Body = TypeVar("Body", bound=BaseModel)
_OWN_PREFIX = "Value error, "


@dataclass(frozen=True, slots=True)
class Violation:
    """`pointer` is a JSON pointer into the body as a URI fragment: "#/tags/3"."""

    pointer: str
    message: str


@dataclass(frozen=True, slots=True)
class Violations:
    all: tuple[Violation, ...]


@dataclass(frozen=True, slots=True)
class NotJson:
    reason: str


def valid_requirement(text: str) -> str:
    text = with_plain_newlines(text).strip()
    if not REQUIREMENT_CHARS_MIN <= len(text) <= REQUIREMENT_CHARS_MAX:
        raise ValueError(
            f"must have {REQUIREMENT_CHARS_MIN} to {REQUIREMENT_CHARS_MAX:,} characters, and has {len(text):,}",
        )
    if found := first_control(text):
        raise ValueError(
            f"holds the control character {code_point(found)}: only newlines and tabs may be used",
        )
    return text


def valid_line(text: str, chars_max: int) -> str:
    if found := first_unprintable(text):
        raise ValueError(
            f"holds the character {code_point(found)}: control and separator characters may not be used",
        )
    text = text.strip(BLANKS)
    if not 1 <= len(text) <= chars_max:
        raise ValueError(f"must have 1 to {chars_max} characters, and has {len(text):,}")
    return text


def _name(text: str) -> str:
    return valid_line(text, NAME_CHARS_MAX)


def _tag(text: str) -> str:
    return valid_line(text, TAG_CHARS_MAX)


def _workflow(text: str) -> str:
    return valid_line(text, WORKFLOW_CHARS_MAX)


def valid_input(given: dict[str, Any]) -> dict[str, Any]:
    size = len(_as_text(given).encode())
    if size > INPUT_BYTES_MAX:
        raise ValueError(
            f"may have {INPUT_BYTES_MAX:,} bytes as JSON, and has {size:,}: put large data somewhere and name it"
        )
    return given


def _as_text(given: dict[str, Any]) -> str:
    return json.dumps(given, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)


class NewProject(BaseModel):
    """A request to build something. Lengths count Unicode characters, without surrounding white space."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    requirement: Annotated[
        str,
        AfterValidator(valid_requirement),
        Field(
            description="What to build, in any language. Newlines and tabs may be used, other control characters not.",
            json_schema_extra={"minLength": REQUIREMENT_CHARS_MIN, "maxLength": REQUIREMENT_CHARS_MAX},
        ),
    ]
    name: Annotated[
        str,
        AfterValidator(_name),
        Field(
            description="Made from the requirement's first words when left out.",
            json_schema_extra={"minLength": 1, "maxLength": NAME_CHARS_MAX},
        ),
    ] = ""
    workflow: Annotated[
        str, AfterValidator(_workflow), Field(description="One of those that GET /v1/workflows lists.")
    ] = WORKFLOW_DEFAULT
    priority: Annotated[
        int, Field(ge=PRIORITY_MIN, le=PRIORITY_MAX, description="1 is served first among a tenant's waiting runs.")
    ] = PRIORITY_DEFAULT
    tags: Annotated[
        list[
            Annotated[str, AfterValidator(_tag), Field(json_schema_extra={"minLength": 1, "maxLength": TAG_CHARS_MAX})]
        ],
        FailFast(),
        Field(max_length=TAGS_MAX),
    ] = []

    input: Annotated[
        dict[str, JsonValue],
        AfterValidator(valid_input),
        Field(description="What the workflow asks for: `input_schema` of GET /v1/workflows, where it has one."),
    ] = {}

    @property
    def input_text(self) -> str:
        """As JSON, the same for equal inputs; "" for none."""
        return _as_text(self.input) if self.input else ""

    @property
    def title(self) -> str:
        return self.name or derived_name(self.requirement)

    @property
    def fingerprint(self) -> str:
        """The same for two bodies that ask for the same, however they are spelled; sha256 in hex."""
        asked: tuple[Any, ...] = (self.requirement, self.name, self.workflow, self.priority, self.tags)
        if self.input:
            asked += (self.input_text,)
        return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()


def parse_new_project(body: bytes) -> NewProject | Violations | NotJson:
    return parsed(NewProject, body)


def parsed(model: type[Body], body: bytes) -> Body | Violations | NotJson:
    """The body as this model, or all that is wrong with it."""
    try:
        return model.model_validate_json(body)
    except ValidationError as invalid:
        if invalid.error_count() > VIOLATIONS_MAX:
            return Violations((Violation("#", f"has {invalid.error_count():,} invalid fields"),))
        errors = invalid.errors(include_url=False, include_context=False, include_input=False)
    if errors[0]["type"] == "json_invalid":
        return NotJson(errors[0]["msg"].removeprefix("Invalid JSON: "))
    return Violations(tuple(Violation(pointer_to(error["loc"]), _message(error)) for error in errors))


def derived_name(requirement: str) -> str:
    """The requirement's first words on one line."""
    line = without_unprintable(" ".join(requirement[: 8 * DERIVED_NAME_CHARS_MAX].split())).strip(BLANKS)
    if len(line) <= DERIVED_NAME_CHARS_MAX:
        return line or "Untitled"
    cut = line[:DERIVED_NAME_CHARS_MAX]
    between_words = cut.rfind(" ")
    return (cut[:between_words] if between_words >= DERIVED_NAME_CHARS_MIN else cut[:-1]).rstrip(BLANKS) + "…"


def _message(error: Mapping[str, Any]) -> str:
    known = _MESSAGES.get(error["type"])
    return known or error["msg"].removeprefix(_OWN_PREFIX)


def pointer_to(location: tuple[int | str, ...]) -> str:
    """As a URI fragment: "#/tags/3"."""
    return "#" + "".join("/" + _escaped(part) for part in location)


def _escaped(part: Any) -> str:
    return str(part)[:FIELD_CHARS_MAX].replace("~", "~0").replace("/", "~1")
