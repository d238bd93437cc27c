"""What the bodies of the verbs may say: most of them nothing, or why."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from penstock_api.domain.new_project import (
    REQUIREMENT_CHARS_MAX,
    REQUIREMENT_CHARS_MIN,
    NotJson,
    Violation,
    Violations,
    parsed,
    valid_input,
    valid_line,
    valid_requirement,
)
from penstock_backbone.records.runs import REASON_CHARS_MAX
from penstock_backbone.records.waits import ANSWER_BYTES_MAX, COMMENT_CHARS_MAX, SIGNAL_NAME_PATTERN

NAME_CHARS_MAX = 100

Body = TypeVar("Body", bound=BaseModel)


def _reason(text: str) -> str:
    return valid_line(text, REASON_CHARS_MAX)


def _comment(text: str) -> str:
    return valid_line(text, COMMENT_CHARS_MAX)


def _name(text: str) -> str:
    return valid_line(text, NAME_CHARS_MAX)


Reason = Annotated[
    str,
    AfterValidator(_reason),
    Field(
        description="One line for people; it stands in the events.",
        json_schema_extra={"minLength": 1, "maxLength": REASON_CHARS_MAX},
    ),
]


Name = Annotated[str, AfterValidator(_name), Field(json_schema_extra={"minLength": 1, "maxLength": NAME_CHARS_MAX})]
Comment = Annotated[
    str, AfterValidator(_comment), Field(json_schema_extra={"minLength": 1, "maxLength": COMMENT_CHARS_MAX})
]
Requirement = Annotated[
    str,
    AfterValidator(valid_requirement),
    Field(json_schema_extra={"minLength": REQUIREMENT_CHARS_MIN, "maxLength": REQUIREMENT_CHARS_MAX}),
]


class _WishBody(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class CancelRequest(_WishBody):
    reason: Reason = "Cancelled by its owner."


class PauseRequest(_WishBody):
    reason: Reason = "Paused by its owner."


class ResumeRequest(_WishBody):
    """Has nothing to say."""


class RetryRequest(_WishBody):
    """What is given replaces what was asked for first."""

    from_stage: Annotated[
        Name | None,
        Field(
            description="A finished stage: it runs again, with everything that needs it. Left out: only what is unfinished."
        ),
    ] = None
    requirement: Requirement | None = None
    input: Annotated[dict[str, JsonValue], AfterValidator(valid_input)] | None = None

    @property
    def edited(self) -> dict[str, str]:
        edited: dict[str, str] = {}
        if self.requirement is not None:
            edited["requirement"] = self.requirement
        if self.input is not None:
            edited["input"] = json.dumps(self.input, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        return edited


class AnswerRequest(_WishBody):
    """To the question of a stage, as `run.waits` lists it."""

    stage: Name
    wait: Annotated[Name | None, Field(description="Needed when the stage asks several questions.")] = None
    by: Name | None = None
    comment: Comment | None = None


def parse_wish(model: type[Body], body: bytes) -> Body | Violations | NotJson:
    """No body at all asks for the same as an empty object."""
    return parsed(model, body or b"{}")


def parse_signal(name: str, body: bytes) -> str | Violations | NotJson:
    """Any JSON value, as text that is the same for equal values. No body at all is null."""
    if re.fullmatch(SIGNAL_NAME_PATTERN, name) is None:
        message = "must have 1 to 40 lower-case letters, digits, - and _, and begin with a letter"
        return Violations((Violation("#", f"is sent to a signal whose name {message}"),))
    try:
        value: Any = json.loads(body or b"null", parse_constant=_refuse_constant)
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        size = len(text.encode())
    except (ValueError, RecursionError) as error:
        return NotJson(str(error)[:200])
    if size > ANSWER_BYTES_MAX:
        return Violations((Violation("#", f"may have {ANSWER_BYTES_MAX:,} bytes as JSON, and has {size:,}"),))
    return text


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")
