"""Routes a request to the tool whose words it uses; a model, where one is given, words the reply."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from .tools import TOOLS
from .tools.desk import Desk, ToolError

REQUEST_CHARS_MAX = 200_000

Model = Callable[[str, str], str]
"""Given the system prompt and the message, gives the reply."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`served` False: the tool could not do it, and `text` says what it needs."""

    tool: str
    text: str
    served: bool = True


def words_used(request: str, words: Sequence[str]) -> frozenset[str]:
    """A word written in letters counts where a word begins; Chinese and Japanese count anywhere."""
    text = request.lower()
    present = (word for word in words if word in text)
    return frozenset(word for word in present if word[0] >= "\u3040" or re.search(rf"\b{re.escape(word)}", text))


def route(request: str, words_by_tool: Mapping[str, Sequence[str]]) -> str:
    """The tool most of whose words are in the request; the first one listed among equals."""
    return max(words_by_tool, key=lambda tool: len(words_used(request, words_by_tool[tool])))


class Agent:
    def __init__(self, spec: Mapping[str, Any], prompt: str, model: Model | None = None) -> None:
        self.spec = spec
        self.prompt = prompt
        self.model = model
        self._words = {tool: tuple(TOOLS[tool].WORDS) for tool in TOOLS}

    def route(self, request: str) -> str:
        return route(request, self._words)

    def handle(self, request: str, desk: Desk, tool: str | None = None) -> Answer:
        """`tool` names one to use whatever the words say. Raises ValueError for an unknown name."""
        request = request[:REQUEST_CHARS_MAX]
        chosen = tool or self.route(request)
        if chosen not in TOOLS:
            raise ValueError(f"There is no tool {chosen!r}. Choose one of: {', '.join(TOOLS)}.")
        try:
            found = TOOLS[chosen].answer(request, desk)
        except ToolError as error:
            return Answer(chosen, str(error), served=False)
        if self.model is None:
            return Answer(chosen, found)
        return Answer(chosen, self.model(self.prompt, f"{request}\n\n[{chosen}]\n{found}"))


def load(model: Model | None = None) -> Agent:
    """The agent as its spec.json and prompts/system.md describe it."""
    here = files(__package__)
    spec = json.loads(here.joinpath("spec.json").read_text("utf-8"))
    return Agent(spec, here.joinpath("prompts", "system.md").read_text("utf-8"), model)
