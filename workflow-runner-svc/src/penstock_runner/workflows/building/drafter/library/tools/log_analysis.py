"""Counts what a log complains about."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from .desk import Desk, ToolError
from .text import in_language_of

WORDS = (
    "logs", "log file", "this log", "the log", "error", "monitor", "alert", "incident", "troubleshoot", "diagnos", "outage",
    "topology", "network", "日志", "监控", "告警", "故障", "运维", "异常", "排查", "诊断", "巡检", "拓扑", "ログ", "監視", "registros",
    "journaux", "protokoll",
)  # fmt: skip
EXAMPLES = (
    "Analyse this log:\n2026-01-01 ERROR disk 7 is full\n2026-01-01 ERROR disk 9 is full\n2026-01-01 INFO started",
    "分析日志：\n2026-01-01 ERROR 磁盘 7 已满\n2026-01-01 ERROR 磁盘 9 已满\n2026-01-01 INFO 启动",
)

LINES_MAX = 100_000
GROUPS = 5
_LEVEL = re.compile(r"\b(FATAL|CRITICAL|ERROR|WARN(?:ING)?|INFO|DEBUG|TRACE)\b", re.IGNORECASE)
_VARIABLE = re.compile(r"0x[0-9a-f]+|\d+", re.IGNORECASE)
_BAD = frozenset({"FATAL", "CRITICAL", "ERROR"})


@dataclass(frozen=True, slots=True)
class Analysis:
    """`groups` are the commonest bad messages with their numbers written as #, and how often each came."""

    lines: int
    levels: dict[str, int]
    groups: tuple[tuple[str, int], ...]


def analyse(text: str) -> Analysis:
    levels: Counter[str] = Counter()
    groups: Counter[str] = Counter()
    lines = [line for line in text.splitlines()[:LINES_MAX] if line.strip()]
    for line in lines:
        found = _LEVEL.search(line)
        if found is None:
            continue
        level = found.group(1).upper().replace("WARNING", "WARN")
        levels[level] += 1
        if level in _BAD:
            groups[_VARIABLE.sub("#", line[found.end() :]).strip(" :-|]")] += 1
    return Analysis(len(lines), dict(levels), tuple(groups.most_common(GROUPS)))


def answer(request: str, desk: Desk) -> str:
    found = analyse(desk.material(request, WORDS))
    if not found.levels:
        raise ToolError("No line names a level such as ERROR or INFO. Give a log file or paste its lines.")
    counts = ", ".join(f"{level} {count}" for level, count in sorted(found.levels.items()))
    lines = [in_language_of(request, f"{found.lines} lines: {counts}", f"共 {found.lines} 行：{counts}")]
    lines += [f"- {count} x {message}" for message, count in found.groups]
    return "\n".join(lines)
