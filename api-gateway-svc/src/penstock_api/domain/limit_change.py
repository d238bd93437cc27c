"""What PUT /v1/limits/… may say: the scope in its address, and the body that becomes a LimitChange."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from penstock_api.domain.new_project import WORKFLOW_CHARS_MAX, NotJson, Violation, Violations
from penstock_api.domain.text import first_unprintable
from penstock_backbone.records.limits import (
    FLEET,
    LIMIT_MAX,
    RESOURCE_NAME_PATTERN,
    SHARDS,
    SHARDS_MAX,
    WEIGHT_MAX,
    Stated,
    resource_scope,
    tenant_scope,
    workflow_scope,
)

VERSION_CHARS_MAX = 100
_RESOURCE = re.compile(RESOURCE_NAME_PATTERN)
TENANT_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")

_MESSAGES = {
    "limit": f"must be a whole number from 0 to {LIMIT_MAX:,}, or null for no limit of its own",
    "weight": f"must be a whole number from 1 to {WEIGHT_MAX:,}",
    "min_share": f"must be a whole number from 0 to {LIMIT_MAX:,}",
    "paused": "must be true or false",
    "yields": "must be true or false",
    "version": "must be the version that GET has shown, or null if there was none",
}
_OF_TENANTS = frozenset({"weight", "min_share"})


class LimitChange(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    limit: Annotated[
        int | None,
        Field(ge=0, le=LIMIT_MAX, description="Null: no limit of its own; the fleet always has one."),
    ] = None
    weight: Annotated[
        int,
        Field(ge=1, le=WEIGHT_MAX, description="A tenant of weight 2 gets twice the slots of a tenant of weight 1."),
    ] = 1
    min_share: Annotated[
        int, Field(ge=0, le=LIMIT_MAX, description="A tenant that holds fewer slots than this comes before all others.")
    ] = 0
    paused: Annotated[bool, Field(description="True: nothing more is admitted here; what runs goes on.")] = False
    yields: Annotated[
        bool,
        Field(
            description="Of the fleet. True: when it is full and a tenant holds no slot, a run of the tenant that holds the "
            "most for its weight gives its slot back at its next checkpoint, and goes on in its turn."
        ),
    ] = False
    version: Annotated[
        str | None,
        Field(
            max_length=VERSION_CHARS_MAX,
            description="The version that the change is made from: refused with 409 when another change came first.",
        ),
    ] = None

    @property
    def names_version(self) -> bool:
        return "version" in self.model_fields_set

    @property
    def names_limit(self) -> bool:
        return "limit" in self.model_fields_set

    def upon(self, old: Stated) -> Stated:
        return old._replace(**self.model_dump(include=set(Stated._fields) & self.model_fields_set))


def scope_of(kind: str, name: str) -> str | None:
    """The scope that an address names; None: there can be no such scope."""
    if kind == "tenant" and TENANT_NAME.fullmatch(name):
        return tenant_scope(name)
    if kind == "workflow" and 1 <= len(name) <= WORKFLOW_CHARS_MAX and name == name.strip():
        return None if first_unprintable(name) else workflow_scope(name)
    if kind == "resource" and _RESOURCE.fullmatch(name):
        return resource_scope(name)
    return None


def parse_limit_change(scope: str, body: bytes) -> LimitChange | Violations | NotJson:
    try:
        change = LimitChange.model_validate_json(body)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False, include_context=False, include_input=False)
        if errors[0]["type"] == "json_invalid":
            return NotJson(errors[0]["msg"].removeprefix("Invalid JSON: "))
        return Violations(tuple(map(_violation, errors[: len(_MESSAGES)])))
    violations = _misplaced(scope, change)
    return Violations(tuple(violations)) if violations else change


def _misplaced(scope: str, change: LimitChange) -> list[Violation]:
    named = change.model_fields_set
    if not named - {"version"}:
        return [Violation("#", "must name at least one of limit, weight, min_share, paused and yields")]
    found = []
    if scope == FLEET and "limit" in named and change.limit is None:
        found.append(Violation("#/limit", "must be a number: the fleet always has a limit"))
    if scope != FLEET and "yields" in named:
        found.append(Violation("#/yields", "can be said of the fleet only"))
    if scope == SHARDS and "limit" in named and not 1 <= (change.limit or 0) <= SHARDS_MAX:
        found.append(Violation("#/limit", f"must be a whole number from 1 to {SHARDS_MAX}"))
    if scope == SHARDS and "paused" in named:
        found.append(Violation("#/paused", "cannot be said of the shards: pause the fleet instead"))
    if not scope.startswith(tenant_scope("")):
        found += [Violation(f"#/{field}", "can be said of tenants only") for field in sorted(named & _OF_TENANTS)]
    return found


def _violation(error: Mapping[str, Any]) -> Violation:
    if not error["loc"]:
        return Violation("#", "must be an object")
    field = str(error["loc"][0])[:VERSION_CHARS_MAX]
    return Violation(f"#/{field}", _MESSAGES.get(field, "is not a field of this request"))
