"""Settings that more than one program reads from its environment, by one rule and with one sentence."""

from __future__ import annotations

from collections.abc import Mapping

from penstock_backbone.errors import Fatal

DRAIN_SECONDS_MAX = 105.0
"""A runner is gone within 110 s of SIGTERM, and ECS kills it after 120."""


def drain_seconds(environment: Mapping[str, str], default: float) -> float:
    """For how long stages may go on after SIGTERM. Raises Fatal."""
    return seconds(environment, "PENSTOCK_DRAIN_SECONDS", default, DRAIN_SECONDS_MAX)


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
