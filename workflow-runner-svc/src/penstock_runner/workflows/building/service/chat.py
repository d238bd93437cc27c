"""The port to a chat model's service, and what can go wrong with one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

REPLY_BYTES_MAX = 2 * 1024 * 1024
OUTPUT_TOKENS_MAX = 32_000
SILENCE_SECONDS_MAX = 300
"""Between two pieces of an answer: a model that reasons first says nothing for minutes."""
ANSWER_SECONDS_MAX = 900.0
"""A service that only keeps the connection alive must not keep a slot."""


@dataclass(frozen=True, slots=True)
class Turn:
    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """`schema` describes the one JSON object that is wanted; `name` is what it is called."""

    system: str
    turns: Sequence[Turn]
    name: str
    schema: Mapping[str, Any]

    def system_with_schema(self) -> str:
        """For a service that takes no schemas."""
        return f"{self.system}\n\nThe JSON Schema of the answer:\n{json.dumps(self.schema, ensure_ascii=False)}"


@dataclass(frozen=True, slots=True)
class Reply:
    """`complete` False: it was cut off at the service's limit. `declined`: why the model, or a filter of its service,
    would not answer. Tokens are None where the service did not count them; `cached_tokens` are those of the input that it
    had read before, and may ask less for."""

    text: str
    input_tokens: int | None
    output_tokens: int | None
    complete: bool = True
    declined: str | None = None
    cached_tokens: int = 0


def joined(pieces: Iterable[str]) -> str:
    """The text of a stream. Some services cut a sign in two, each half in a piece; half a sign alone, which nothing can
    send or store, is replaced."""
    return "".join(pieces).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class Busy(Exception):
    """It may answer later: throttled, overloaded, or cut off. `after_seconds`: no sooner, when the service says so."""

    def __init__(self, sentence: str, after_seconds: float | None = None) -> None:
        super().__init__(sentence)
        self.after_seconds = after_seconds


class Unusable(Exception):
    """Asking again cannot help; the sentence says what to do."""


class ChatModel(Protocol):
    """`name` is what people call the model, and what the price table knows it by."""

    @property
    def name(self) -> str: ...

    async def ask(self, question: Question) -> Reply:
        """Raises Busy and Unusable, and nothing else for what the service does."""
        ...
