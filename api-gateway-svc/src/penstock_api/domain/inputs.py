"""What in a request's `input` does not fit the schema that its workflow's runners have announced.

The schema knows less than the runner's model, whose own code may refuse more; it never fits better there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, TypeAlias

import jsonschema_rs
from jsonschema_rs import ValidationError
from jsonschema_rs import ValidationErrorKind as Kind

from penstock_api.domain.new_project import VIOLATIONS_MAX, Violation, pointer_to

SCHEMAS_KEPT_MAX = 64
EXPLAINED_BYTES_MAX = 2 * 1024
"""Of a longer input only the first fault is told: finding all can take the event loop a second."""
OPTIONS_SHOWN_MAX = 10
SHOWN_CHARS_MAX = 100

Place: TypeAlias = tuple[str | int, ...]
Branches: TypeAlias = Sequence[Sequence[ValidationError]]

_TYPES = {
    "string": "a string", "integer": "a whole number", "number": "a number", "boolean": "true or false",
    "array": "a list", "object": "an object", "null": "null",
}  # fmt: skip
_SENTENCES = {
    "const": "must be {}",
    "minimum": "must be {} or more",
    "maximum": "must be {} or less",
    "exclusiveMinimum": "must be more than {}",
    "exclusiveMaximum": "must be less than {}",
    "multipleOf": "must be a multiple of {}",
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "minItems": "must have at least {} items",
    "maxItems": "must have at most {} items",
    "minProperties": "must have at least {} entries",
    "maxProperties": "must have at most {} entries",
    "uniqueItems": "must not hold an item twice",
}
"""By the keyword of the schema, which pydantic writes for the limits of a field."""
_OF_ONE = {"characters": "character", "items": "item", "entries": "entry"}


@dataclass(frozen=True, slots=True)
class _Schema:
    validator: jsonschema_rs.Validator
    is_recursive: bool


def misfits(schema: str | None, given: Mapping[str, Any]) -> tuple[Violation, ...]:
    """`schema` as JSON text. Without one that can be read everything fits, and the runner looks by itself."""
    known = _read(schema) if schema is not None else None
    if known is None or known.validator.is_valid(given):
        return ()
    if known.is_recursive:
        # Its faults under each other's alternatives are too many to be collected: they double with each level.
        return (Violation("#/input", "does not fit what its workflow says in GET /v1/workflows"),)
    told = dict.fromkeys(violation for error in _errors(known.validator, given) for violation in _told(error))
    return tuple(islice(told, VIOLATIONS_MAX))


@lru_cache(maxsize=SCHEMAS_KEPT_MAX)
def _read(schema: str) -> _Schema | None:
    try:
        # What it refers to elsewhere is not fetched.
        validator = jsonschema_rs.Draft202012Validator(schema, offline=True)
    except ValueError:
        return None
    return _Schema(validator, _is_recursive(json.loads(schema)))


def _is_recursive(schema: Any) -> bool:
    """Whether one of its definitions leads to itself."""
    definitions = schema.get("$defs", {}) if isinstance(schema, dict) else {}
    leads = {name: set(re.findall(r'"#/\$defs/([^"]+)"', json.dumps(each))) for name, each in definitions.items()}
    while free := [name for name, targets in leads.items() if not targets & leads.keys()]:
        for name in free:
            del leads[name]
    return bool(leads)


def _errors(validator: jsonschema_rs.Validator, given: Mapping[str, Any]) -> Iterator[ValidationError]:
    if len(json.dumps(given, ensure_ascii=False).encode()) <= EXPLAINED_BYTES_MAX:
        yield from islice(validator.iter_errors(given), VIOLATIONS_MAX)
        return
    try:
        validator.validate(given)
    except ValidationError as first:
        yield first


def _told(error: ValidationError) -> Iterator[Violation]:
    place = tuple(error.instance_path)
    match error.kind:
        case Kind.AnyOf(context) | Kind.OneOfNotValid(context):
            yield from _of_branches(place, context)
        case Kind.Required(name):
            yield _violation((*place, name), "is required")
        case Kind.AdditionalProperties(names) | Kind.UnevaluatedProperties(names):
            for name in names[:VIOLATIONS_MAX]:
                yield _violation((*place, name), "is not a field of this workflow's input")
        case _:
            yield _violation(place, _sentence(error))


def _of_branches(place: Place, branches: Branches) -> Iterator[Violation]:
    """Of several models the one is explained that was meant; if that cannot be told, what could have been meant."""
    meant = [branch for branch in branches if not any(_tells_apart(error, place) for error in branch)]
    if len(meant) == 1:
        for error in meant[0]:
            yield from _told(error)
        return
    tags = [error for branch in branches for error in branch if isinstance(error.kind, Kind.Constant)]
    places = {tuple(error.instance_path) for error in tags}
    if not meant and len(places) == 1:
        yield _violation(places.pop(), _one_of([error.kind.value for error in tags]))
        return
    needed = [error.kind.property for branch in branches for error in branch if isinstance(error.kind, Kind.Required)]
    if len(meant) == len(needed) == len(branches):
        yield _violation(place, f"needs {' or '.join(dict.fromkeys(needed))}")
        return
    possible = [said for branch in branches if (said := _possibility(branch, place)) is not None]
    if len(possible) == len(branches):
        yield _violation(place, f"must be {' or '.join(dict.fromkeys(possible))}")
    else:
        yield _violation(place, "fits none of the forms that it may have")


def _tells_apart(error: ValidationError, place: Place) -> bool:
    """Whether the error says that another form than this was meant: another type, or another tag."""
    here = tuple(error.instance_path)
    tag = isinstance(error.kind, Kind.Constant) and here[:-1] == place
    return tag or (here == place and isinstance(error.kind, (Kind.Type, Kind.Constant, Kind.Enum)))


def _possibility(branch: Sequence[ValidationError], place: Place) -> str | None:
    """What a value of this form would be: its values, where they are listed, otherwise its type."""
    kinds = [error.kind for error in branch if tuple(error.instance_path) == place]
    for kind in kinds:
        if isinstance(kind, Kind.Enum):
            return _listed(kind.options)
    for kind in kinds:
        if isinstance(kind, Kind.Type):
            return _typed(kind.types)
    return None


def _typed(names: Sequence[str]) -> str:
    return " or ".join(_TYPES.get(name, name) for name in names)


def _sentence(error: ValidationError) -> str:
    match error.kind:
        case Kind.Type(types):
            return f"must be {_typed(types)}"
        case Kind.Pattern(pattern):
            return f"must match the pattern {pattern[:SHOWN_CHARS_MAX]}"
        case Kind.Enum(options):
            return _one_of(options)
        case kind if kind.name in _SENTENCES:
            before, _, counted = _SENTENCES[kind.name].format(_shown(kind.value)).rpartition(" ")
            return f"{before} {_OF_ONE.get(counted, counted) if kind.value == 1 else counted}"
        case kind:
            return f"does not fit the keyword {kind.name} of its schema"


def _one_of(options: Sequence[Any]) -> str:
    return f"must be one of {_listed(options)}" if len(options) > 1 else f"must be {_listed(options)}"


def _listed(options: Sequence[Any]) -> str:
    shown = ", ".join(map(_shown, options[:OPTIONS_SHOWN_MAX]))
    return shown if len(options) <= OPTIONS_SHOWN_MAX else f"{shown} and {len(options) - OPTIONS_SHOWN_MAX} more"


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:SHOWN_CHARS_MAX]


def _violation(place: Place, message: str) -> Violation:
    return Violation(pointer_to(("input", *place)), message)
