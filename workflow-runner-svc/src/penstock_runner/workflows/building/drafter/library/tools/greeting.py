"""Greets people by name, in their language."""

from __future__ import annotations

import re

from .desk import Desk
from .text import is_chinese

WORDS = (
    "greet", "hello", "welcome", "good morning", "say hi", "introduce",
    "问候", "打招呼", "欢迎", "你好", "您好", "迎宾", "接待", "挨拶", "こんにちは", "salud", "hola", "bonjour", "salut", "begrüß", "hallo",
)  # fmt: skip
EXAMPLES = (
    "Hello, my name is Ada",
    "你好，我叫王芳",
)

_NAME = re.compile(
    r"(?:my name is|i am|i'm|greet|welcome|me llamo|je m'appelle|ich heiße|我叫|我是|名字是|问候|欢迎)\s*([^\s,.!?，。！？:：;；]{1,40})",
    re.IGNORECASE,
)
_GREETINGS = (
    (("hola", "me llamo", "salud"), "¡Hola, {}!"),
    (("bonjour", "je m'appelle", "salut"), "Bonjour, {} !"),
    (("hallo", "ich heiße", "begrüß"), "Hallo, {}!"),
)
_NOBODY = {"": "there", "zh": "朋友"}


def name_in(request: str) -> str | None:
    found = _NAME.search(request)
    return found.group(1) if found else None


def greet(name: str | None, request: str = "") -> str:
    """`request` only tells the language."""
    if is_chinese(request) or (name is not None and is_chinese(name)):
        return f"你好，{name or _NOBODY['zh']}！很高兴为您服务。"
    lowered = request.lower()
    for words, phrase in _GREETINGS:
        if name and any(word in lowered for word in words):
            return phrase.format(name)
    return f"Hello, {name or _NOBODY['']}! How can I help you?"


def answer(request: str, desk: Desk) -> str:
    del desk
    return greet(name_in(request), request)
