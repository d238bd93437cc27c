"""Makes text that stages have said fit to be stored."""

from __future__ import annotations


def valid_text(text: str) -> str:
    """Half of a surrogate pair becomes a question mark: file names that are no UTF-8 hold such, and emojis that were cut."""
    return text if text.isascii() else text.encode(errors="replace").decode()
