"""Fills the {{blanks}} of a template."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .desk import Desk, ToolError
from .text import in_language_of

WORDS = (
    "template", "fill in", "fill the", "fill out", "form field", "forms", "placeholder", "letter", "contract", "mail merge",
    "模板", "填充", "填写", "表单", "套用", "信函", "合同", "公文", "证明", "テンプレート", "plantilla", "modèle", "vorlage",
)  # fmt: skip
EXAMPLES = (
    "Fill the template: Dear {{name}}, your order {{order}} is ready.\nname = Ada\norder = 17",
    "填写模板：{{name}}您好，订单{{order}}已备好。\nname = 王芳\norder = 17",
)

_BLANK = re.compile(r"\{\{\s*([\w-]{1,60})\s*\}\}")
_VALUE = re.compile(r"^\s*([\w-]{1,60})\s*[=＝]\s*(.*?)\s*$")


def blanks(template: str) -> list[str]:
    """The names of the blanks, each once, in order."""
    return list(dict.fromkeys(_BLANK.findall(template)))


def fill(template: str, values: Mapping[str, str]) -> str:
    """Every blank replaced; values are put in as they are and never read as templates themselves."""
    missing = [name for name in blanks(template) if name not in values]
    if missing:
        raise ToolError(f"Values are missing for: {', '.join(missing)}. Add lines such as {missing[0]} = …")
    return _BLANK.sub(lambda match: values[match.group(1)], template)


def answer(request: str, desk: Desk) -> str:
    values: dict[str, str] = {}
    template = []
    for line in desk.material(request, WORDS).splitlines():
        found = _VALUE.match(line)
        if found:
            values[found.group(1)] = found.group(2)
        else:
            template.append(line)
    if desk.files:
        values |= {found.group(1): found.group(2) for found in map(_VALUE.match, request.splitlines()) if found}
    text = "\n".join(template).strip()
    if not blanks(text):
        raise ToolError(
            in_language_of(
                request, "The template has no {{blank}}. Mark one.", "模板中没有 {{空白}}，请标出要填写的位置。"
            )
        )
    return fill(text, values)
