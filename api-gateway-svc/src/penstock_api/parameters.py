"""Reads query parameters, headers and ids, and says in plain words what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from penstock_api.domain.projects import STATUSES
from penstock_api.problems import Problem, invalid_header, invalid_parameter, not_found

PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX = 20, 100
EVENTS_LIMIT_DEFAULT, EVENTS_LIMIT_MAX = 100, 1000
SEQUENCE_MAX = 2**31
CURSOR_CHARS_MAX = 4096
IDEMPOTENCY_KEY_CHARS_MAX = 200

_PROJECT_ID = re.compile(r"prj_[0-9A-HJKMNP-TV-Z]{26}")
_RUN_ID = re.compile(r"run_[0-9A-HJKMNP-TV-Z]{26}")
_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)
_PRINTABLE = re.compile(r"[\x20-\x7e]+")

Texts = Mapping[str, str]


def project_id_of(text: str) -> str:
    if not _PROJECT_ID.fullmatch(text):
        raise not_found("project")
    return text


def run_id_of(text: str) -> str:
    if not _RUN_ID.fullmatch(text):
        raise not_found("run")
    return text


def limit_of(query: Texts, default: int, maximum: int) -> int:
    return _number(query, "limit", default, 1, maximum)


def after_of(query: Texts) -> int:
    return _number(query, "after", 0, 0, SEQUENCE_MAX)


def resume_after(query: Texts, headers: Texts) -> int:
    """A reconnecting browser repeats the address it began with; its Last-Event-ID is the newer word."""
    last = headers.get("Last-Event-ID")
    if not last:
        return after_of(query)
    if not _NUMBER.fullmatch(last) or int(last) > SEQUENCE_MAX:
        raise Problem(*invalid_header("Last-Event-ID", "must be the sequence number of an event"))
    return int(last)


def wants_progress(query: Texts) -> bool:
    return _number(query, "progress", 0, 0, 1) == 1


def status_filter(query: Texts) -> str | None:
    status = query.get("status")
    if status is not None and status not in STATUSES:
        raise Problem(*invalid_parameter("status", f"must be one of {', '.join(STATUSES)}"))
    return status


def cursor_of(query: Texts) -> str | None:
    cursor = query.get("cursor")
    if cursor is not None and not (1 <= len(cursor) <= CURSOR_CHARS_MAX and _PRINTABLE.fullmatch(cursor)):
        raise Problem(*invalid_parameter("cursor", "must be the next_cursor of the page before"))
    return cursor


def idempotency_key_of(headers: Texts) -> str | None:
    key = headers.get("Idempotency-Key")
    if key is not None and not (len(key) <= IDEMPOTENCY_KEY_CHARS_MAX and _PRINTABLE.fullmatch(key)):
        raise Problem(
            *invalid_header("Idempotency-Key", f"must be 1 to {IDEMPOTENCY_KEY_CHARS_MAX} printable ASCII characters")
        )
    return key


def _number(query: Texts, name: str, default: int, minimum: int, maximum: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not _NUMBER.fullmatch(text) or not minimum <= int(text) <= maximum:
        raise Problem(*invalid_parameter(name, f"must be a whole number from {minimum} to {maximum:,}"))
    return int(text)
