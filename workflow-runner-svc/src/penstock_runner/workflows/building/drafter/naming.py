"""Names a package: an ASCII identifier from the project's own words, never one that could clash or escape."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator

from penstock_runner.workflows.building.drafter.glossary import GLOSSARY, LONGEST
from penstock_runner.workflows.building.drafter.library.tools.text import STOP_WORDS

PACKAGE_PATTERN = r"[a-z][a-z0-9_]{0,39}"
_READ_CHARS_MAX = 400
_WORDS_MAX = 4
_STEM_CHARS_MAX = 28
_HASH_CHARS = 8

_RUN = re.compile(r"[A-Za-z][A-Za-z0-9]+|[\u3400-\u9fff]+")
_LITTLE = (
    "agent agents ai create build make want wants need needs help simple small new smart system tool tools test python "
    "program application app able automatic automatically using use project please requirement py exe txt com www http "
    "https etc passwd null none true false import def class print necesito quiero crear agente una que un los las el la "
    "del para je veux une qui le les des du pour erstelle einen eine der das und für ich"
)
_SAYS_LITTLE = STOP_WORDS | frozenset(_LITTLE.split())
AGENTS = ("agent", "assistant", "bot")
TOOLS = ("tool",)


def package_name(name: str, requirement: str, endings: tuple[str, ...] = AGENTS) -> str:
    """Words of the project's name; without any, those of the requirement; without any, a hash of both.

    It always ends in one of the `endings`, the first where it has none, so it is no keyword and no module of the
    standard library.
    """
    words = _telling_words(name, endings[1:]) or _telling_words(requirement, endings[1:])[:3]
    ending = endings[0]
    if words and words[-1] in endings:
        ending = words.pop()
    elif len(words) > 1 and words[0] in endings:
        ending = words.pop(0)
    stem = words[0][:_STEM_CHARS_MAX] if words else ""
    for word in words[1:]:
        if len(stem) + 1 + len(word) <= _STEM_CHARS_MAX:
            stem = f"{stem}_{word}"
    if not stem or all(word in endings for word in words):
        digest = hashlib.sha256(f"{name}\0{requirement}".encode("utf-8", "replace")).hexdigest()
        return f"{ending}_{digest[:_HASH_CHARS]}"
    return f"{stem}_{ending}"


def _telling_words(text: str, always: tuple[str, ...]) -> list[str]:
    kept: list[str] = []
    for word in _words(text):
        if word not in kept and (word in always or word not in _SAYS_LITTLE):
            kept.append(word)
        if len(kept) == _WORDS_MAX:
            break
    return kept


def _words(text: str) -> Iterator[str]:
    """English words, and the English for Chinese words of the glossary; accents and full widths are folded."""
    folded = unicodedata.normalize("NFKD", text[:_READ_CHARS_MAX])
    plain = "".join(letter for letter in folded if not unicodedata.combining(letter))
    for match in _RUN.finditer(plain):
        run = match.group()
        if run[0] < "\u3400":
            yield run.lower()
            continue
        start = 0
        while start < len(run):
            for size in range(min(LONGEST, len(run) - start), 0, -1):
                if (english := GLOSSARY.get(run[start : start + size])) is not None:
                    yield english
                    start += size
                    break
            else:
                start += 1
