"""Finds the passages that answer a question best."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from .desk import Desk, ToolError, read_text
from .text import in_language_of, sentences, tokens

WORDS = (
    "search", "find", "look up", "question", "answer", "knowledge", "faq", "support", "retriev", "literature", "paper",
    "pubmed", "research", "customer service", "chatbot", "q&a", "database", "news",
    "搜索", "查找", "检索", "查询", "问答", "知识库", "客服", "文献", "资料", "新闻", "回答", "咨询", "临床", "医学", "検索", "質問", "busc", "busqu", "pregunt",
    "recherch", "suche", "frage",
)  # fmt: skip
EXAMPLES = (
    "Search for pump: The pump runs at night.\nThe roof is red.",
    "搜索水泵：水泵在夜间运行。\n屋顶是红色的。",
)

PASSAGES_MAX = 5_000
HITS = 3


@dataclass(frozen=True, slots=True)
class Hit:
    source: str
    passage: str
    score: float


def search(documents: Mapping[str, str], query: str, count: int = HITS) -> list[Hit]:
    """The best passages (sentences) by BM25: rare words of the query count more, repeated ones less each time."""
    passages = [(name, passage) for name, text in documents.items() for passage in sentences(text)][:PASSAGES_MAX]
    bags = [Counter(tokens(passage)) for _, passage in passages]
    wanted = set(tokens(query))
    present = Counter(word for bag in bags for word in wanted if word in bag)
    average = sum(map(len, bags)) / len(bags) if bags else 1.0
    hits = []
    for (name, passage), bag in zip(passages, bags, strict=True):
        score = 0.0
        for word in wanted & bag.keys():
            rarity = math.log(1 + (len(bags) - present[word] + 0.5) / (present[word] + 0.5))
            score += rarity * bag[word] * 2.2 / (bag[word] + 1.2 * (0.25 + 0.75 * len(bag) / average))
        if score > 0:
            hits.append(Hit(name, passage, score))
    return sorted(hits, key=lambda hit: -hit.score)[:count]


def answer(request: str, desk: Desk) -> str:
    if desk.files:
        documents = {path.name: read_text(path) for path in desk.files}
        query = request
    else:
        text = desk.material(request, WORDS)
        query = request.removesuffix(text) or request
        documents = {in_language_of(request, "the text given", "所给文本"): text}
    hits = search(documents, query)
    if not hits:
        raise ToolError(
            in_language_of(
                request, "Nothing matches. Give files or other words.", "没有找到匹配内容，请提供文件或换个说法。"
            )
        )
    return "\n".join(f"- {hit.passage} ({hit.source})" for hit in hits)
