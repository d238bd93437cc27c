"""Errors sorted once, at the engines' edge, by what the caller does next."""

from __future__ import annotations


class BackboneError(Exception):
    """Any failure of an engine. The text is one plain sentence that says what to do."""


class Retryable(BackboneError):
    """Lost, throttled or in conflict: it may or may not have been applied. Look again, then repeat by condition."""


class Fatal(BackboneError):
    """Repeating cannot help: missing rights, a wrong name, a full disk, a damaged file."""


class TooLarge(Fatal):
    """An item, transaction or message is over its limit. Nothing was written."""


class Invalid(Fatal):
    """The call itself is wrong (a float in an item, a key twice in a transaction). Nothing was written."""


class BadCursor(Invalid):
    """The cursor was not made by this query."""


class BlobMissing(BackboneError):
    """No blob under this key."""


class BlobCorrupt(BackboneError):
    """The blob is there and its checksum is not the one that was recorded."""
