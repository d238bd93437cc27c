"""Says what a text is about in its most telling sentences."""

from __future__ import annotations

from collections import Counter

from .desk import Desk, ToolError
from .text import in_language_of, sentences, tokens

WORDS = (
    "summar", "digest", "abstract", "condense", "tl;dr", "overview", "brief",
    "摘要", "总结", "概括", "归纳", "综述", "提炼", "概述", "要約", "resum", "résum", "zusammenfass",
)  # fmt: skip
EXAMPLES = (
    "Summarise: The pump failed at noon. The pump was repaired by the night crew. Lunch was good.",
    "总结：水泵中午出现故障。夜班工人修好了水泵。午饭不错。",
)

SENTENCES = 3


def summarise(text: str, count: int = SENTENCES) -> list[str]:
    """The `count` sentences whose words matter most to the whole text, in the order of the text.

    A word matters by how often the text uses it; the first sentence gets a small bonus because
    writers put their subject there; long sentences win nothing by being long.
    """
    found = list(dict.fromkeys(sentences(text)))
    if len(found) <= count:
        return found
    weight = Counter(tokens(text))
    scored = []
    for position, sentence in enumerate(found):
        own = set(tokens(sentence))
        score = sum(weight[word] for word in own) / (len(own) + 3)
        scored.append((score * (1.2 if position == 0 else 1.0), -position))
    best = sorted(scored, reverse=True)[:count]
    return [found[position] for position in sorted(-negative for _, negative in best)]


def answer(request: str, desk: Desk) -> str:
    material = desk.material(request, WORDS)
    if not tokens(material):
        raise ToolError("There is no text to summarise. Put it after a colon or give a file.")
    title = in_language_of(request, "Summary:", "摘要：")
    return "\n".join([title, *(f"- {sentence}" for sentence in summarise(material))])
