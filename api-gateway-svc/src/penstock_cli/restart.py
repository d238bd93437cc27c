"""Decides whether and when a process that died is started again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

QUICK_DEATH_SECONDS = 5.0
"""A process that lived less than this did not get going."""
QUICK_DEATHS_MAX = 5
REFUSED = 1
"""The exit code of a program that will not start, or cannot."""
KILLS_MAX = 20
"""Of a runner that is killed: a run that takes it down each time is given up well before."""
PAUSE_SECONDS_FIRST = 0.2
PAUSE_SECONDS_MAX = 3.0


@dataclass(frozen=True, slots=True)
class StartAgain:
    """`quick_deaths` in a row so far, to be handed in at the next death."""

    after_seconds: float
    quick_deaths: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It dies again and again: a person has to look."""

    quick_deaths: int


Verdict: TypeAlias = StartAgain | GiveUp


def after_death(*, lived_seconds: float, quick_deaths: int, quick_deaths_max: int = QUICK_DEATHS_MAX) -> Verdict:
    """One death costs no pause, so that a killed service is back at once; quick deaths in a row wait longer each time."""
    if lived_seconds >= QUICK_DEATH_SECONDS:
        return StartAgain(0.0, 0)
    quick_deaths += 1
    if quick_deaths >= quick_deaths_max:
        return GiveUp(quick_deaths)
    pause = 0.0 if quick_deaths == 1 else min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_FIRST * 2 ** (quick_deaths - 2))
    return StartAgain(pause, quick_deaths)
