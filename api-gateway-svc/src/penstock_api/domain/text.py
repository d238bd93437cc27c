"""Which characters a name, a tag and a requirement may hold."""

from __future__ import annotations

import re
import unicodedata

JOINERS = "\u200c\u200d"
"""Persian and Indian words are misspelt without them, and emoji fall apart."""
BLANKS = JOINERS + "".join(chr(point) for point in range(0x3001) if chr(point).isspace())
"""What says nothing at the end of a line."""
_CONTROL_BESIDES_NEWLINE_AND_TAB = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def first_unprintable(text: str) -> str | None:
    """The first control, format, private or line-separating character (Unicode C*, Zl, Zp), newlines included."""
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
    if character in JOINERS:
        return False
    category = unicodedata.category(character)
    if category == "Cn":
        return _is_noncharacter(ord(character))
    return category[0] == "C" or category in ("Zl", "Zp")


def _is_noncharacter(point: int) -> bool:
    """All else that Python's tables do not know may be a letter or an emoji that is younger than they are."""
    return 0xFDD0 <= point <= 0xFDEF or point & 0xFFFE == 0xFFFE
