"""Takes secrets out of what stages say: those that look like secrets, and those whose value is known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

REDACTED = "[redacted]"
KNOWN_CHARS_MIN = 8
"""A shorter value would be found inside ordinary words."""
KNOWN_MAX = 200

_SECRET_NAME = re.compile(
    r"SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL|(API|ACCESS|PRIVATE|SIGNING|MODEL)_?KEY", re.IGNORECASE
)
_LOOKS_SECRET = re.compile(
    r"""
    -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----[\s\S]*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b                      # AWS access key ids
    | \bgh[pousr]_[A-Za-z0-9]{20,}\b                     # GitHub
    | \bxox[abprs]-[A-Za-z0-9-]{10,}                     # Slack
    | \bsk-[A-Za-z0-9_-]{16,}                            # model providers
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*   # JSON web tokens
    | (?<=://)[^/\s:@]{1,200}:[^/\s@]{1,200}(?=@)          # user:password in a URL
    | (?i:(?<=bearer\ )|(?<=basic\ ))[A-Za-z0-9._~+/=-]{8,}
    """,
    re.VERBOSE,
)
_ASSIGNED = re.compile(
    r"(?i)\b([\w-]*(?:password|passwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key)[\"']?\s*[=:]\s*)"
    r"(\"[^\"]{1,500}\"|'[^']{1,500}'|[^\s,;&\"']{4,500})"
)
"""name = value, in code, in JSON and in query strings."""


@dataclass(frozen=True, slots=True)
class Redaction:
    """`known`: values that must never be shown, longest first."""

    known: tuple[str, ...] = ()

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> Redaction:
        """The values of variables whose names sound like secrets."""
        values = {
            value for name, value in environment.items() if len(value) >= KNOWN_CHARS_MIN and _SECRET_NAME.search(name)
        }
        return cls(tuple(sorted(values, key=len, reverse=True)[:KNOWN_MAX]))

    def __call__(self, text: str) -> str:
        for value in self.known:
            text = text.replace(value, REDACTED)
        text = _LOOKS_SECRET.sub(REDACTED, text)
        return _ASSIGNED.sub(rf"\1{REDACTED}", text)
