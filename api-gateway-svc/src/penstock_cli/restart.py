"""Decides whether and when a process that died is started again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

QUICK_DEATH_SECONDS = 5.0
"""A process that lived less than this did not get going."""
QUICK_DEATHS_MAX = 5
KILLS_MAX = 20
"""Of a program that somebody kills before it got going."""
PAUSE_SECONDS_FIRST = 0.2
PAUSE_SECONDS_MAX = 3.0
PAUSE_DOUBLINGS_MAX = 10


@dataclass(frozen=True, slots=True)
class Deaths:
    """Quick ones in a row so far. `unready`: after which it had not even said that it is ready."""

    quick: int = 0
    unready: int = 0


@dataclass(frozen=True, slots=True)
class StartAgain:
    """`deaths` is to be handed in at the next death."""

    after_seconds: float
    deaths: Deaths


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It cannot start: a person has to look."""

    unready: int


Verdict: TypeAlias = StartAgain | GiveUp


def after_death(*, lived_seconds: float, was_ready: bool, was_killed: bool, before: Deaths) -> Verdict:
    """One death costs no pause, so that a killed service is back at once; quick deaths in a row wait longer each time.
    Whatever ends a program that was ready, another start may help: only one that never gets ready is given up."""
    if lived_seconds >= QUICK_DEATH_SECONDS:
        return StartAgain(0.0, Deaths())
    deaths = Deaths(before.quick + 1, 0 if was_ready else before.unready + 1)
    if deaths.unready >= (KILLS_MAX if was_killed else QUICK_DEATHS_MAX):
        return GiveUp(deaths.unready)
    doubled = min(deaths.quick - 2, PAUSE_DOUBLINGS_MAX)
    pause = 0.0 if deaths.quick == 1 else min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_FIRST * 2**doubled)
    return StartAgain(pause, deaths)
