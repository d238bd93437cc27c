"""Judges whether a text is friendly, by the words it uses."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .desk import Desk
from .text import in_language_of

WORDS = (
    "sentiment", "feedback", "opinion", "emotion", "mood", "complain", "reviews", "comment", "rating", "satisf", "social media",
    "情感", "情绪", "评论", "反馈", "舆情", "口碑", "评价", "投诉", "满意", "差评", "感情分析", "レビュー", "opinión", "avis", "stimmung",
)  # fmt: skip
EXAMPLES = (
    "Sentiment: The staff were friendly and fast, but the room was dirty and not good.",
    "情感分析：服务很好，态度热情，但是房间太脏。",
)

_GOOD = "good great excellent friendly fast happy love like best nice clean easy helpful perfect wonderful satisfied"
_BAD = "bad poor slow dirty rude broken hate worst angry difficult terrible awful late expensive disappointed useless"
_NOT = "not no never isn't wasn't don't didn't hardly without"
_GOOD_WORDS = frozenset(_GOOD.split())
_BAD_WORDS = frozenset(_BAD.split())
_NOT_WORDS = frozenset(_NOT.split())
_GOOD_PARTS = ("好", "满意", "喜欢", "优秀", "快", "热情", "干净", "方便", "推荐", "完美", "开心", "棒")
_BAD_PARTS = ("差", "慢", "脏", "糟", "失望", "投诉", "讨厌", "坏", "贵", "难", "生气", "烂")
_NOT_PARTS = ("不", "没", "别", "未")
_WORD = re.compile(r"[a-z]+(?:'t)?")


@dataclass(frozen=True, slots=True)
class Verdict:
    """`score` from -1 (hostile) to 1 (friendly); 0 when there is nothing to judge by."""

    score: float
    good: tuple[str, ...]
    bad: tuple[str, ...]


def judge(text: str) -> Verdict:
    """A word after "not" counts for the other side."""
    good: list[str] = []
    bad: list[str] = []
    words = _WORD.findall(text.lower().replace("’", "'"))
    for position, word in enumerate(words):
        if word in _GOOD_WORDS or word in _BAD_WORDS:
            negated = not _NOT_WORDS.isdisjoint(words[max(0, position - 2) : position])
            (good if (word in _GOOD_WORDS) != negated else bad).append(("not " if negated else "") + word)
    for parts, is_good in ((_GOOD_PARTS, True), (_BAD_PARTS, False)):
        for part in parts:
            for match in re.finditer(part, text):
                negated = text[max(0, match.start() - 1) : match.start()] in _NOT_PARTS
                (good if is_good != negated else bad).append(("不" if negated else "") + part)
    total = len(good) + len(bad)
    return Verdict((len(good) - len(bad)) / total if total else 0.0, tuple(good), tuple(bad))


def answer(request: str, desk: Desk) -> str:
    verdict = judge(desk.material(request, WORDS))
    if verdict.score > 0:
        name = in_language_of(request, "friendly", "正面")
    elif verdict.score < 0:
        name = in_language_of(request, "unfriendly", "负面")
    else:
        name = in_language_of(request, "mixed or neutral", "中性")
    because = ", ".join([*(f"+{word}" for word in verdict.good), *(f"-{word}" for word in verdict.bad)])
    return f"{name} ({verdict.score:+.2f}) {because}".strip()
