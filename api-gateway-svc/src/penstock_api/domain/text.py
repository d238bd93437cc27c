"""Which characters a name, a tag and a requirement may hold."""

from __future__ import annotations

import re
import unicodedata

_CONTROL_BESIDES_NEWLINE_AND_TAB = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def first_unprintable(text: str) -> str | None:
    """The first control, format, unassigned or line-separating character (Unicode C*, Zl, Zp), newlines included."""
    if text.isprintable():
        return None
    return next((character for character in text if _is_unprintable(character)), None)


def first_control(text: str) -> str | None:
    """The first control character that is neither a newline nor a tab."""
    found = _CONTROL_BESIDES_NEWLINE_AND_TAB.search(text)
    return found.group() if found else None


def with_plain_newlines(text: str) -> str:
    """As typed on any system, stored in one way."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def code_point(character: str) -> str:
    """U+200B: how a sentence names a character that cannot be seen."""
    return f"U+{ord(character):04X}"


def without_unprintable(text: str) -> str:
    return text if text.isprintable() else "".join(filter(lambda character: not _is_unprintable(character), text))


def _is_unprintable(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] == "C" or category in ("Zl", "Zp")
