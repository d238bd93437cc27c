"""What a web page of another address may do: with PENSTOCK_ALLOWED_ORIGINS everything, otherwise change nothing.

A browser lets any page send a plain request to any address that it can reach, this machine's own included, so that a page
somebody happens to visit could start builds. Who asks is told as by Go's net/http.CrossOriginProtection: by
Sec-Fetch-Site, and by Origin and Host where a browser does not send that. Programs send neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Header = tuple[bytes, bytes]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
PREFLIGHT_SECONDS = 600
_OWN = frozenset({"same-origin", "none"})
_EXPOSED = (b"access-control-expose-headers", b"ETag, Idempotency-Replayed, Location, Retry-After")
_PREFLIGHT: tuple[Header, ...] = (
    (b"access-control-allow-methods", b"GET, POST, PUT"),
    (b"access-control-allow-headers", b"content-type, idempotency-key, last-event-id, penstock-tenant, traceparent"),
    (b"access-control-max-age", b"%d" % PREFLIGHT_SECONDS),
)


@dataclass(frozen=True, slots=True)
class Origins:
    """`allowed`: as browsers name them, such as https://app.example.com."""

    allowed: frozenset[str]

    def stranger(self, headers: Mapping[str, str]) -> str | None:
        """The page that must not change anything, by its origin."""
        origin = headers.get("origin", "")
        if origin in self.allowed:
            return None
        site = headers.get("sec-fetch-site")
        if site in _OWN or (site is None and origin.partition("://")[2] == headers.get("host", "")):
            return None
        return (origin or "unknown") if origin or site else None

    def headers(self, method: str, headers: Mapping[str, str]) -> Iterable[Header]:
        """What lets an allowed page read the answer."""
        if self.allowed:
            yield b"vary", b"Origin"
        origin = headers.get("origin", "")
        if origin in self.allowed:
            yield b"access-control-allow-origin", origin.encode("latin-1")
            yield _EXPOSED
            if method == "OPTIONS" and "access-control-request-method" in headers:
                yield from _PREFLIGHT
