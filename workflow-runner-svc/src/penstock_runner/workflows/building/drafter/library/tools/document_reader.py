"""Reads text, Markdown, CSV, JSON, HTML and Word files, and says what is in them."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from dataclasses import dataclass
from html import unescape
from pathlib import Path

from .desk import Desk, ToolError, read_text
from .text import CHARS_MAX, in_language_of

WORDS = (
    "read ", "reads", "reader", "reading", "document", "file", "pdf", "ms word", "word file", "markdown", "docx", "html", "json", "parse",
    "读取", "阅读", "文件", "文档", "解析", "论文", "合同", "报告", "ファイル", "文書", "archivo", "fichier", "datei", "dokument",
)  # fmt: skip
EXAMPLES = (
    "Read this document: # Minutes\nThe pump was repaired.",
    "读取文档：# 会议纪要\n水泵已经修好。",
)

_HEADING = re.compile(r"^#{1,6}\s+(.+)$", re.MULTILINE)
_PARAGRAPH = re.compile(r"<w:p[ >].*?</w:p>", re.DOTALL)
_RUN_TEXT = re.compile(r"<w:t(?: [^>]*)?>([^<]*)</w:t>")
_HIDDEN = re.compile(r"<(script|style)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")
_KINDS = {".txt": "text", ".md": "markdown", ".csv": "csv", ".json": "json", ".html": "html", ".htm": "html"}
PREVIEW_CHARS = 160


@dataclass(frozen=True, slots=True)
class Reading:
    """`size` counts characters; `parts` are headings, columns or keys, whichever the kind has."""

    name: str
    kind: str
    text: str
    parts: tuple[str, ...]

    @property
    def size(self) -> int:
        return len(self.text)


def read(path: Path) -> Reading:
    suffix = path.suffix.lower()
    if suffix == ".docx":
        text = _word_text(path)
        return Reading(path.name, "word", text, ())
    if suffix not in _KINDS:
        known = ", ".join([*_KINDS, ".docx"])
        raise ToolError(f"Cannot read {path.name}. Convert it to one of {known} first.")
    return parse(path.name, _KINDS[suffix], read_text(path))


def parse(name: str, kind: str, text: str) -> Reading:
    if kind == "csv":
        header = next(csv.reader(io.StringIO(text)), [])
        return Reading(name, kind, text, tuple(header))
    if kind == "json":
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ToolError(f"{name} is not valid JSON. Correct it and try again.") from error
        return Reading(name, kind, text, tuple(str(key) for key in value) if isinstance(value, dict) else ())
    if kind == "html":
        plain = unescape(_TAG.sub(" ", _HIDDEN.sub(" ", text)))
        return Reading(name, kind, " ".join(plain.split()), ())
    return Reading(name, kind, text, tuple(heading.strip() for heading in _HEADING.findall(text)))


def _word_text(path: Path) -> str:
    """The paragraphs of a .docx file, which is a zip archive with XML inside."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("word/document.xml") as file:
            xml = file.read(20 * CHARS_MAX).decode("utf-8", errors="replace")
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ToolError(f"{path.name} is not a readable Word file. Save it again as .docx.") from error
    paragraphs = ("".join(_RUN_TEXT.findall(paragraph)) for paragraph in _PARAGRAPH.findall(xml))
    return unescape("\n".join(paragraphs))[:CHARS_MAX]


def answer(request: str, desk: Desk) -> str:
    readings = [read(path) for path in desk.files]
    if not readings:
        readings = [
            parse(in_language_of(request, "the text given", "所给文本"), "markdown", desk.material(request, WORDS))
        ]
    lines = []
    for reading in readings:
        unit = in_language_of(request, "characters", "个字符")
        lines.append(f"{reading.name} ({reading.kind}, {reading.size} {unit})")
        if reading.parts:
            lines.append(in_language_of(request, "  Parts: ", "  结构：") + ", ".join(reading.parts[:20]))
        preview = " ".join(reading.text.split())[:PREVIEW_CHARS]
        lines.append(in_language_of(request, "  Begins: ", "  开头：") + preview)
    return "\n".join(lines)
