"""Text of people inside Markdown, where it must stay text."""

from __future__ import annotations

import re

from penstock_runner.workflows.building.drafter.reading import readable

_BACKTICKS = re.compile("`{3,}")
_MARKDOWN_SIGNS = re.compile(r"([\\`*_{}\[\]<>#|~$])")


def quoted(text: str) -> str:
    """A Markdown code block that the text cannot end, however many backticks it holds."""
    shown = readable(text).strip("\n")
    fence = "`" * (1 + max([2, *(len(run) for run in _BACKTICKS.findall(shown))]))
    return f"{fence}text\n{shown}\n{fence}"


def in_markdown(text: str) -> str:
    """One line of text in which no sign has a meaning of its own, HTML included."""
    return _MARKDOWN_SIGNS.sub(r"\\\1", " ".join(text.split())).replace("&", "&amp;")
