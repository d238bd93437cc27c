"""Under which names the API may be asked: this machine's own, PENSTOCK_HOST, and what PENSTOCK_ALLOWED_HOSTS lists.

Whoever owns a name can point it at this machine while a page is open that was loaded from it (DNS rebinding). To the
browser the API then is the page's own site, so that neither Origin nor Sec-Fetch-Site tells; the Host header still has that
name. An address in numbers cannot be pointed elsewhere, and nobody can own a name below localhost.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

ANY = "*"
_HOST = re.compile(r"(?:\[(?P<address>[^]]*)]|(?P<name>[^:]*))(?::[0-9]*)?")


@dataclass(frozen=True, slots=True)
class Hosts:
    """`allowed`: names in lower case, without a port; ANY among them allows all."""

    allowed: frozenset[str]

    def stranger(self, headers: Mapping[str, str]) -> str | None:
        """The name that is none of the API's. Programs may send none; every browser sends one."""
        given = headers.get("host", "")
        if not given or ANY in self.allowed:
            return None
        parts = _HOST.fullmatch(given)
        name = (parts["address"] or parts["name"] or "").lower().removesuffix(".") if parts else ""
        return None if name in self.allowed or _is_of_this_machine(name) else given


def _is_of_this_machine(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
