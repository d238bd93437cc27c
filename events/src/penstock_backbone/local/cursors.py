"""Opaque cursors: where a page ended, bound to its query, so that a foreign or damaged one is recognised."""

from __future__ import annotations

import base64
import binascii
import zlib

import msgspec

from penstock_backbone.errors import BadCursor
from penstock_backbone.vocabulary import Query


def encode_cursor(query: Query, position: tuple[str, ...]) -> str:
    body = msgspec.msgpack.encode((_fingerprint(query), position))
    return base64.urlsafe_b64encode(zlib.crc32(body).to_bytes(4, "big") + body).decode().rstrip("=")


def decode_cursor(query: Query) -> tuple[str, ...] | None:
    """The position after which the page begins; None at the beginning."""
    if query.cursor is None:
        return None
    try:
        raw = base64.b64decode(query.cursor.encode() + b"=" * (-len(query.cursor) % 4), altchars=b"-_", validate=True)
        if zlib.crc32(raw[4:]).to_bytes(4, "big") != raw[:4]:
            raise BadCursor("the cursor is damaged: begin again without one")
        fingerprint, position = msgspec.msgpack.decode(raw[4:], type=tuple[int, tuple[str, ...]])
    except (binascii.Error, msgspec.DecodeError, UnicodeEncodeError) as error:
        raise BadCursor("the cursor is damaged: begin again without one") from error
    if fingerprint != _fingerprint(query):
        raise BadCursor("the cursor belongs to another query: begin again without one")
    return position


def _fingerprint(query: Query) -> int:
    parts = (query.table, query.pk, query.index, query.prefix, query.descending)
    return zlib.crc32(msgspec.msgpack.encode(parts))
