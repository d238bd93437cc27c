"""What happened in a seed: a fingerprint of everything, and the last lines for people."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Any

import msgspec

LINES_MAX = 60
VALUE_CHARS_MAX = 110


class Trace:
    """`verbose`: every line is printed, and remembered in words."""

    def __init__(self, *, verbose: bool = False) -> None:
        self._hash = hashlib.blake2b(digest_size=8)
        self._verbose = verbose
        self._lines: deque[tuple[float, str, str, Any]] = deque(maxlen=LINES_MAX)

    def call(self, now: float, who: str, call: str, value: Any) -> None:
        self._hash.update(f"{now:.6f} {who} {call}".encode())
        self._add((now, who, call, value))

    def note(self, now: float, who: str, words: str) -> None:
        self._hash.update(f"{now:.6f} {who} {words}".encode())
        self._add((now, who, words, ""))

    def fingerprint(self, *more: Any) -> str:
        digest = self._hash.copy()
        digest.update(repr(more).encode())
        return digest.hexdigest()

    def lines(self) -> list[str]:
        return [_line(*line) for line in self._lines]

    def _add(self, line: tuple[float, str, str, Any]) -> None:
        self._lines.append(line)
        if self._verbose:
            print(_line(*line))  # noqa: T201  # what was asked for


def _line(now: float, who: str, words: str, value: Any) -> str:
    return f"{now:10.4f} {who:15} {words} {_short(value)}".rstrip()


def _short(value: Any) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, Exception):
        return f"! {value}"
    text = repr(msgspec.to_builtins(value, str_keys=True, builtin_types=(bytes,)))
    return text if len(text) <= VALUE_CHARS_MAX else text[:VALUE_CHARS_MAX] + "…"
