"""What POST /v1/projects/…/cancel may say: nothing, or why."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from penstock_api.domain.new_project import NotJson, Violation, Violations
from penstock_api.domain.text import first_unprintable
from penstock_backbone.records.runs import REASON_CHARS_MAX

REASON_DEFAULT = "Cancelled by its owner."


class CancelRequest(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    reason: Annotated[
        str,
        Field(min_length=1, max_length=REASON_CHARS_MAX, description="One line for people; it stands in the events."),
    ] = REASON_DEFAULT


def parse_cancel_request(body: bytes) -> CancelRequest | Violations | NotJson:
    """No body at all asks for the same as an empty object."""
    try:
        request = CancelRequest.model_validate_json(body or b"{}")
    except ValidationError as invalid:
        (error, *_) = invalid.errors(include_url=False, include_context=False, include_input=False)
        if error["type"] == "json_invalid":
            return NotJson(error["msg"].removeprefix("Invalid JSON: "))
        if not error["loc"]:
            return Violations((Violation("#", "must be an object"),))
        field = str(error["loc"][0])[:REASON_CHARS_MAX]
        if field != "reason":
            return Violations((Violation(f"#/{field}", "is not a field of this request"),))
        return Violations((Violation("#/reason", f"must be text of 1 to {REASON_CHARS_MAX} characters"),))
    if first_unprintable(request.reason):
        return Violations((Violation("#/reason", "must be one line without control characters"),))
    return request
