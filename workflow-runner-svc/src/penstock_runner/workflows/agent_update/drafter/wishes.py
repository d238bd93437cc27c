"""Which of the library's tools a change request wants to come, and which to go, from its words alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from penstock_runner.authoring import ProjectInput
from penstock_runner.workflows.building.drafter.asked import tools_asked_for
from penstock_runner.workflows.building.drafter.catalog import CARDS

_COMES = r"add|give|include|create|make|append|añad|agreg|inclu|ajout|crée|füg|ergänz"
_GOES = r"remove|drop|delete|get rid|no longer|elimin|quita|supprim|retire|entfern|lösch"
_GOES_IN_CHINESE = r"去掉|删除|移除|去除|取消|不再|削除|外し"
_TOOL = r"tools?|features?|abilit|herramientas?|funci[oó]n|outils?|fonctions?|werkzeug|funktion"
_TOOL_IN_CHINESE = r"工具|功能|能力|ツール|機能"

_AND = r"\b(?:and|y|et|und)\b"
_CLAUSE = re.compile(rf"[,;，；、。！？\n]|(?<=\w{{3}})\.\s|{_AND}(?=\s+(?:{_COMES}|{_GOES}))", re.IGNORECASE)
_PART = re.compile(_AND, re.IGNORECASE)
# A tool goes only where a clause says both: that something is to go, and that it is a tool.
_SAYS_GOES = re.compile(rf"\b(?:{_GOES})|{_GOES_IN_CHINESE}", re.IGNORECASE)
_SAYS_TOOL = re.compile(rf"\b(?:{_TOOL})|{_TOOL_IN_CHINESE}", re.IGNORECASE)


def wanted_tools(change: str, current: Sequence[str]) -> tuple[set[str], list[str]]:
    """Those that go, and those that come, in the order in which they are asked for. Of one clause they are those that
    it names outright, or the one that it uses most words of."""
    gone: set[str] = set()
    added: dict[str, None] = {}
    for clause, goes in _clauses(change):
        possible = {name for name in CARDS if (name in current) == goes}
        asked = [name for name in tools_asked_for(ProjectInput(name="", requirement=clause)) if name in possible]
        named = [name for name in CARDS if name in possible and _names(clause, name)]
        for name in named or asked[:1]:
            if goes:
                gone.add(name)
            else:
                added[name] = None
    return gone, list(added)


def _clauses(change: str) -> Iterator[tuple[str, bool]]:
    """Each with whether it says that a tool goes; what such a clause joins with "and" goes together."""
    for clause in _CLAUSE.split(change):
        if _SAYS_GOES.search(clause) and _SAYS_TOOL.search(clause):
            yield clause, True
        else:
            yield from ((part, False) for part in _PART.split(clause))


def _names(clause: str, tool: str) -> bool:
    """Its name stands there, between signs that are no Latin letters: Chinese puts no spaces around it."""
    return re.search(rf"(?<![a-z]){tool.replace('_', '[ _]')}(?![a-z])", clause.lower()) is not None
