"""How the tools cut text into sentences and words, in alphabets and in Chinese or Japanese."""

from __future__ import annotations

import re

CHARS_MAX = 200_000

_CJK = r"\u3040-\u30ff\u3400-\u9fff"
_SENTENCE_END = re.compile(r"(?<=[。！？!?；;])|(?<=\.)\s|\n")
_BULLET = re.compile(r"^\s*(?:[-*•·]|\(?\d{1,2}[.)、．]|[(（]\d{1,2}[)）])\s*")
_RUN = re.compile(rf"[{_CJK}]+|[^\W{_CJK}_]+")
_IS_CJK = re.compile(rf"[{_CJK}]")
_HAN = re.compile(r"[\u3400-\u9fff]")
_KANA = re.compile(r"[\u3040-\u30ff]")

_STOP = (
    "a an and are as at be been but by can could do does for from had has have he her his how i if in into is it its "
    "me my no not of on or our she should so some such than that the their them then there these they this to up us "
    "was we were what when which who will with would you your please"
)
STOP_WORDS = frozenset(_STOP.split())


def sentences(text: str) -> list[str]:
    """Sentences in order, without bullets and numbering; a line's end is a sentence's end."""
    pieces = (_BULLET.sub("", piece).strip() for piece in _SENTENCE_END.split(text[:CHARS_MAX]))
    return [piece for piece in pieces if piece]


def tokens(text: str) -> list[str]:
    """Lower-case words without stop words; Chinese and Japanese runs give their pairs of characters."""
    found: list[str] = []
    for match in _RUN.finditer(text[:CHARS_MAX].lower()):
        piece = match.group()
        if _IS_CJK.match(piece):
            found.extend([piece[start : start + 2] for start in range(len(piece) - 1)] or [piece])
        elif piece not in STOP_WORDS:
            found.append(piece)
    return found


def is_chinese(text: str) -> bool:
    return bool(_HAN.search(text)) and not _KANA.search(text)


def in_language_of(request: str, english: str, chinese: str) -> str:
    """One of two wordings: the tools speak English and Chinese."""
    return chinese if is_chinese(request) else english
