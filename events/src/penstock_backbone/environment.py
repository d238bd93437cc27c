"""Settings that more than one program reads from its environment, by one rule and with one sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping

from penstock_backbone.errors import Fatal

DRAIN_SECONDS_MAX = 105.0
"""A runner is gone within 110 s of SIGTERM, and ECS kills it after 120."""
READY = "PENSTOCK_READY"
"""Holds the number of an open pipe into which a runner says that it is ready, for its supervisor."""
ORIGINS = "PENSTOCK_ALLOWED_ORIGINS"
HOSTS = "PENSTOCK_ALLOWED_HOSTS"
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_ORIGIN = re.compile(r"https?://([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
"""As browsers write them: lower-case, without a path, and without the port that everybody knows."""


def drain_seconds(environment: Mapping[str, str], default: float) -> float:
    """For how long stages may go on after SIGTERM. Raises Fatal."""
    return seconds(environment, "PENSTOCK_DRAIN_SECONDS", default, DRAIN_SECONDS_MAX)


def allowed_origins(environment: Mapping[str, str]) -> frozenset[str]:
    """The web addresses whose pages may use the API. Raises Fatal, with a sentence for people."""
    found = frozenset(filter(None, map(str.strip, environment.get(ORIGINS, "").split(","))))
    for origin in sorted(found):
        if _ORIGIN.fullmatch(origin) is None:
            raise Fatal(
                f"{ORIGINS} holds {origin!r}: list origins as browsers name them, such as https://app.example.com or "
                "http://localhost:5173, with commas between them"
            )
    return found


def allowed_hosts(environment: Mapping[str, str]) -> frozenset[str]:
    """The names in lower case under which the API may be asked beside this machine's own: where it listens, and those that
    are listed. Raises Fatal, with a sentence for people."""
    found = {name.lower() for name in map(str.strip, environment.get(HOSTS, "").split(",")) if name}
    for name in sorted(found - {"*"}):
        if _HOST.fullmatch(name) is None:
            raise Fatal(
                f"{HOSTS} holds {name!r}: list names without a scheme and a port, such as penstock.example.com, with commas "
                "between them, or * for all"
            )
    return frozenset(found | set(filter(None, [environment.get("PENSTOCK_HOST", "").lower()])))


def seconds(environment: Mapping[str, str], name: str, default: float, most: float) -> float:
    """0 to `most`. Raises Fatal, with a sentence for people, for anything else."""
    text = environment.get(name, str(default))
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:
        raise Fatal(f"{name} is {text!r}: set it to a number from 0 to {most:.0f}")
    return number
