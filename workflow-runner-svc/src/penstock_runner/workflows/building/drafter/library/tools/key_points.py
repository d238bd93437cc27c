"""Sorts a text into points, risks and things to do."""

from __future__ import annotations

from dataclasses import dataclass

from .desk import Desk, ToolError
from .summary import summarise
from .text import in_language_of, sentences

WORDS = (
    "key point", "risk", "action item", "recommend", "advice", "insight", "minutes", "meeting", "analy", "review",
    "要点", "风险", "建议", "可执行", "纪要", "会议", "分析", "洞察", "评估", "审查", "リスク", "議事録", "riesgo", "risque", "risik",
)  # fmt: skip
EXAMPLES = (
    "Key points: Sales grew by 4%. There is a risk that the supplier fails. We should sign a second supplier by May.",
    "要点：销售额增长4%。供应商存在断供风险。建议五月前签下第二家供应商。",
)

_RISKS = (
    "risk", "danger", "fail", "delay", "problem", "issue", "warning", "concern", "loss", "breach",
    "风险", "危险", "失败", "延误", "问题", "警告", "隐患", "损失", "违约", "不足",
)  # fmt: skip
_ACTIONS = (
    "should", "must", "need to", "recommend", "please", "by monday", "deadline", "todo", "to do", "let us",
    "建议", "应该", "必须", "需要", "请", "务必", "截止", "尽快", "安排",
)  # fmt: skip
_POINTS = 4


@dataclass(frozen=True, slots=True)
class Points:
    points: tuple[str, ...]
    risks: tuple[str, ...]
    actions: tuple[str, ...]


def sort_points(text: str) -> Points:
    """A sentence that asks for something is an action; else one that warns is a risk; the rest are points."""
    risks: list[str] = []
    actions: list[str] = []
    rest: list[str] = []
    for sentence in sentences(text):
        lowered = sentence.lower()
        if any(mark in lowered for mark in _ACTIONS):
            actions.append(sentence)
        elif any(mark in lowered for mark in _RISKS):
            risks.append(sentence)
        else:
            rest.append(sentence)
    return Points(tuple(summarise("\n".join(rest), _POINTS)), tuple(risks), tuple(actions))


def answer(request: str, desk: Desk) -> str:
    found = sort_points(desk.material(request, WORDS))
    blocks = (
        (in_language_of(request, "Points:", "要点："), found.points),
        (in_language_of(request, "Risks:", "风险："), found.risks),
        (in_language_of(request, "To do:", "建议："), found.actions),
    )
    lines = [line for title, items in blocks if items for line in (title, *(f"- {item}" for item in items))]
    if not lines:
        raise ToolError("There is no text to sort. Put it after a colon or give a file.")
    return "\n".join(lines)
