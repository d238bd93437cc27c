"""Which blob keys are allowed: relative paths of plain segments, so that none leaves its folder."""

from __future__ import annotations

import re

from penstock_backbone.errors import Invalid

BLOB_KEY_CHARS_MAX = 500
_SEGMENT = re.compile(r"[A-Za-z0-9_\-][A-Za-z0-9._\-]*")


def check_blob_key(key: str) -> str:
    parts = key.split("/")
    if len(key) > BLOB_KEY_CHARS_MAX or not all(_SEGMENT.fullmatch(part) for part in parts):
        raise Invalid(f"a file's key is a relative path of letters, digits and '._-', not {key[:80]!r}")
    return key
