"""Hides personal data: mail addresses, phone numbers, identity, account (IBAN) and card numbers, network addresses."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from .desk import Desk
from .text import in_language_of

WORDS = (
    "mask", "pii", "personal data", "privacy", "anonym", "redact", "sensitive", "gdpr", "desensiti", "phone number",
    "脱敏", "隐私", "敏感", "匿名", "打码", "掩码", "身份证", "手机号", "个人信息", "個人情報", "privacidad", "confidentialité", "datenschutz",
)  # fmt: skip
EXAMPLES = (
    "Mask: write to ada@example.com or call +1 415 555 0134",
    "脱敏：邮箱 wang@example.com，手机号 13800138000",
)

_MAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_IDENTITY = re.compile(r"(?<!\d)\d{17}[\dXx](?!\d)")
_CARD = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")
_ACCOUNT = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")
_ABROAD = re.compile(r"(?<![\w.+])\+\d(?:[ ()-]{0,2}\d){6,14}(?!\d)")
_PHONE = re.compile(r"(?<![\d.])(?:\+\d{1,3}[ -]?)?(?:1[3-9]\d{9}|\(?\d{3}\)?[ -]\d{3,4}[ -]\d{4})(?![\d.])")
_ADDRESS = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")


@dataclass(frozen=True, slots=True)
class Masked:
    text: str
    counts: dict[str, int]


def is_card_number(digits: str) -> bool:
    """The Luhn checksum, which card numbers carry and other numbers seldom do."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if position % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def mask(text: str) -> Masked:
    """The text with each find replaced by its kind in brackets, and how many there were of each kind."""
    counts: Counter[str] = Counter()

    def replace(pattern: re.Pattern[str], kind: str, source: str) -> str:
        def hide(match: re.Match[str]) -> str:
            if kind == "card" and not is_card_number(re.sub(r"\D", "", match.group())):
                return match.group()
            counts[kind] += 1
            return f"[{kind}]"

        return pattern.sub(hide, source)

    for pattern, kind in (
        (_MAIL, "mail"), (_IDENTITY, "identity"), (_ACCOUNT, "account"), (_CARD, "card"), (_ABROAD, "phone"),
        (_PHONE, "phone"), (_ADDRESS, "address"),
    ):  # fmt: skip
        text = replace(pattern, kind, text)
    return Masked(text, dict(counts))


def answer(request: str, desk: Desk) -> str:
    masked = mask(desk.material(request, WORDS))
    found = ", ".join(f"{kind} {count}" for kind, count in sorted(masked.counts.items())) or "0"
    return f"{masked.text}\n{in_language_of(request, 'Hidden: ', '已隐藏：')}{found}"
