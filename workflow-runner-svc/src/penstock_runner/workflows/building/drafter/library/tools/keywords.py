"""Finds the words that carry a text."""

from __future__ import annotations

import re
from collections import Counter

from .desk import Desk, ToolError
from .text import STOP_WORDS, in_language_of

WORDS = (
    "keyword", "key word", "tags", "topic", "terms", "theme", "hashtag", "seo", "extract",
    "关键词", "关键字", "标签", "主题", "提取", "热点", "话题", "キーワード", "palabras clave", "mots-clés", "schlagw",
)  # fmt: skip
EXAMPLES = (
    "Keywords: solar panels on the roof, solar panels in the garden, and one battery",
    "提取关键词：太阳能电池板装在屋顶，太阳能电池板也装在花园，还有一块蓄电池",
)

KEYWORDS = 8
_HAN_RUN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]+")
_WORD = re.compile(r"[^\W\d_\u3040-\u30ff\u3400-\u9fff][\w-]{2,}")
# Chinese has no spaces: these characters end a phrase rather than belong to one.
_BETWEEN = re.compile(
    "的|了|和|与|及|或|是|在|我|你|他|她|它|们|请|把|被|将|对|从|到|为|以|并|能够|能|可以|可|需要|需|要|想|帮|一个|一种|一块|个|"
    "这|那|有|就|都|也|还|很|让|给|用|中|上|下|不|个|等|装|进行|通过|根据|包括|包含|实现|创建|构建"
)


def extract(text: str, count: int = KEYWORDS) -> list[str]:
    """The most frequent words and Chinese phrases, longer ones first among equals."""
    found: Counter[str] = Counter()
    for word in _WORD.findall(text):
        lowered = word.lower()
        if lowered not in STOP_WORDS:
            found[lowered] += 1
    for run in _HAN_RUN.findall(text):
        found.update(piece for piece in _BETWEEN.split(run) if 2 <= len(piece) <= 8)
    ranked = sorted(found.items(), key=lambda item: (-item[1], -len(item[0]), item[0]))
    return [word for word, _ in ranked[:count]]


def answer(request: str, desk: Desk) -> str:
    found = extract(desk.material(request, WORDS))
    if not found:
        raise ToolError("There are no words to choose from. Put the text after a colon or give a file.")
    return in_language_of(request, "Keywords: ", "关键词：") + ", ".join(found)
