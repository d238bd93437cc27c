"""Waiting tokens of one tenant, workflow and priority: first come, first served, at the same cost however long the line."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

from penstock_orchestrator.domain.token import Token

COMPACTION_TOKENS_MIN = 64


class Line:
    """A sorted list that is cheap at both ends: tokens join at the back, leave from the front, and return there."""

    __slots__ = ("_start", "_tokens")

    def __init__(self) -> None:
        self._tokens: list[Token] = []
        self._start = 0

    def __len__(self) -> int:
        return len(self._tokens) - self._start

    def __iter__(self) -> Iterator[Token]:
        for index in range(self._start, len(self._tokens)):
            yield self._tokens[index]

    @property
    def first(self) -> Token:
        return self._tokens[self._start]

    def add(self, token: Token) -> None:
        tokens, start = self._tokens, self._start
        if len(tokens) == start or token > tokens[-1]:
            tokens.append(token)
        elif start and token < tokens[start]:
            self._start = start - 1
            tokens[start - 1] = token
        else:
            insort(tokens, token, lo=start)

    def remove(self, token: Token) -> None:
        tokens, start = self._tokens, self._start
        if tokens[start] != token:
            # Most leave from the front, and are found without a search through the whole line.
            index = bisect_left(tokens, token, lo=start)
            assert index < len(tokens), token
            assert tokens[index] == token, token
            del tokens[index]
            return
        self._start = start + 1
        if self._start >= COMPACTION_TOKENS_MIN and self._start * 2 >= len(tokens):
            del tokens[: self._start]
            self._start = 0
