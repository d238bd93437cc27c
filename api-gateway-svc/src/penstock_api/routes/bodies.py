"""Reads request bodies, and says everything that is wrong with one at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

from litestar import Request

from penstock_api.domain.new_project import NotJson, Violation, Violations
from penstock_api.domain.views import ViolationView
from penstock_api.problems import INPUT_MISFIT, INVALID, NOT_JSON, UNSUPPORTED_MEDIA_TYPE, Kind, Problem


async def json_body(request: Request[Any, Any, Any]) -> bytes:
    """Raises Problem for another media type."""
    media_type = request.headers.get("content-type")
    if media_type is not None and not _is_json(media_type):
        raise Problem(UNSUPPORTED_MEDIA_TYPE, "Send the body as application/json in UTF-8.")
    return await request.body()


def refused_body(reason: NotJson | Violations) -> Problem:
    match reason:
        case NotJson(why):
            return Problem(NOT_JSON, f"The body cannot be read as JSON: {why}.")
        case Violations(violations):
            return _with_violations(INVALID, violations)
        case _ as never:
            assert_never(never)


def refused_input(violations: Sequence[Violation]) -> Problem:
    return _with_violations(INPUT_MISFIT, violations)


def _with_violations(kind: Kind, violations: Sequence[Violation]) -> Problem:
    errors = [ViolationView(pointer=violation.pointer, message=violation.message) for violation in violations]
    first = f"{violations[0].pointer.removeprefix('#').removeprefix('/') or 'The body'} {violations[0].message}"
    more = f" (and {len(errors) - 1} more, see errors)" if len(errors) > 1 else ""
    return Problem(kind, f"{first}{more}.", errors)


def _is_json(media_type: str) -> bool:
    kind, _, parameters = media_type.lower().partition(";")
    kind = kind.strip()
    is_json = kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
    charset = parameters.replace(" ", "").replace('"', "")
    return is_json and ("charset=" not in charset or "charset=utf-8" in charset)
