"""What an `async` stage prints goes to its log, where it is cut and freed of secrets; what others print stays as it was."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TextIO

Say = Callable[[str], None]

speaker: ContextVar[Say | None] = ContextVar("speaker", default=None)
"""Takes a line that was printed by the stage whose code runs now, in its task and in those that it has started."""
LINE_CHARS_MAX = 16 * 1024


class StageBytes(io.BufferedIOBase):
    """The `buffer` of sys.stdout or sys.stderr, for libraries that write bytes."""

    def __init__(self, text: StageOutput, real: TextIO) -> None:
        self._text = text
        self._real = real

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        if speaker.get() is None:
            return self._real.buffer.write(data)
        text = bytes(data)
        self._text.write(text.decode(errors="replace"))
        return len(text)

    def flush(self) -> None:
        self._real.flush()


class StageOutput(io.TextIOBase):
    """Stands in for sys.stdout or sys.stderr."""

    def __init__(self, real: TextIO) -> None:
        self._real = real
        self._lines: dict[Say, str] = {}

    def write(self, text: str, /) -> int:
        say = speaker.get()
        if say is None:
            return self._real.write(text)
        *lines, rest = (self._lines.pop(say, "") + text).split("\n")
        for line in lines:
            if line.strip():
                say(line[:LINE_CHARS_MAX])
        if rest:
            self._lines[say] = rest[:LINE_CHARS_MAX]
        return len(text)

    def finish(self, say: Say) -> None:
        """The stage has ended: what it printed without a line end is said, too."""
        rest = self._lines.pop(say, "")
        if rest.strip():
            say(rest)

    @property
    def buffer(self) -> StageBytes:
        return StageBytes(self, self._real)

    def close(self) -> None:
        """It is the process's, and no stage's."""

    def flush(self) -> None:
        self._real.flush()

    def fileno(self) -> int:
        return self._real.fileno()

    def isatty(self) -> bool:
        return self._real.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a real stream knows it
        return self._real.encoding


def capture() -> None:
    """For the life of this process."""
    sys.stdout = StageOutput(sys.stdout)
    sys.stderr = StageOutput(sys.stderr)


def finish(say: Say) -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, StageOutput):
            stream.finish(say)
