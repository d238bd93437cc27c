"""What happened in a seed: a fingerprint of everything, and the last lines for people."""

from __future__ import annotations

import hashlib
from typing import Any, TypeAlias

import msgspec

LINES_MAX = 60
VALUE_CHARS_MAX = 110
UNHASHED_MAX = 1000


_Line: TypeAlias = tuple[float, str, str, Any]


class Trace:
    """`verbose`: every line is printed, and remembered in words."""

    def __init__(self, *, verbose: bool = False) -> None:
        self._hash = hashlib.blake2b(digest_size=8)
        self._verbose = verbose
        self._hashed: list[_Line] = []
        self._unhashed: list[_Line] = []

    def call(self, now: float, who: str, call: str, value: Any) -> None:
        self._unhashed.append((now, who, call, value))
        if len(self._unhashed) == UNHASHED_MAX:
            self._take_in()
        if self._verbose:
            print(_line(now, who, call, value))  # noqa: T201  # what was asked for

    def note(self, now: float, who: str, words: str) -> None:
        self.call(now, who, words, "")

    def fingerprint(self, *more: Any) -> str:
        self._take_in()
        digest = self._hash.copy()
        digest.update(repr(more).encode())
        return digest.hexdigest()

    def lines(self) -> list[str]:
        return [_line(*line) for line in [*self._hashed, *self._unhashed][-LINES_MAX:]]

    def _take_in(self) -> None:
        self._hash.update(repr([line[:3] for line in self._unhashed]).encode())
        self._hashed = [*self._hashed, *self._unhashed][-LINES_MAX:]
        self._unhashed.clear()


def _line(now: float, who: str, words: str, value: Any) -> str:
    return f"{now:10.4f} {who:15} {words} {_short(value)}".rstrip()


def _short(value: Any) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, Exception):
        return f"! {value}"
    text = repr(msgspec.to_builtins(value, str_keys=True, builtin_types=(bytes,)))
    return text if len(text) <= VALUE_CHARS_MAX else text[:VALUE_CHARS_MAX] + "…"
