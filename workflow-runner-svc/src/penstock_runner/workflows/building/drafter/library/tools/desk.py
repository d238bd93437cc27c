"""What a tool may touch: the files it was given, a folder to write to, a way to the network, and today's date."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol

from .text import CHARS_MAX

INSTRUCTION_CHARS_MAX = 120
_INSTRUCTION_END = re.compile(r"\n|：|:(?=\s)")


class ToolError(Exception):
    """The request cannot be served; the text tells the user what to give instead."""


class Response(Protocol):
    def read(self, size: int, /) -> bytes: ...


OpenUrl = Callable[[str], AbstractContextManager[Response]]


@dataclass(frozen=True, slots=True)
class Desk:
    """`open_url` None: this agent may not use the network."""

    files: tuple[Path, ...] = ()
    folder: Path = Path()
    today: date = date(2000, 1, 1)
    open_url: OpenUrl | None = None

    def material(self, request: str, words: Sequence[str]) -> str:
        """The text to work on: the given files, else the request, without the order before its first colon or line. An
        order uses one of the tool's `words`, and no number: what else stands there is part of the text."""
        if self.files:
            return "\n\n".join(read_text(path) for path in self.files)
        mark = _INSTRUCTION_END.search(request[:INSTRUCTION_CHARS_MAX])
        head = request[: mark.start()].lower() if mark else ""
        is_order = any(word.strip() in head for word in words) and not any(sign.isdigit() for sign in head)
        rest = request[mark.end() :].strip() if mark and is_order else ""
        return rest or request.strip()


def read_text(path: Path) -> str:
    """Text in UTF-8 with or without a mark, or in GB18030, at most CHARS_MAX characters."""
    try:
        with path.open("rb") as file:
            data = file.read(4 * CHARS_MAX)
    except OSError as error:
        raise ToolError(f"Cannot read {path.name}: {error.strerror}. Give the path of a readable file.") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("gb18030", errors="replace")
    return text[:CHARS_MAX]
