"""A process that died comes back at once; one that dies again and again does not."""

from __future__ import annotations

from penstock_cli.restart import KILLS_MAX, QUICK_DEATHS_MAX, GiveUp, StartAgain, after_death
from penstock_orchestrator.handlers.sweep import ATTEMPTS_MAX, HOOK_ATTEMPTS_MAX


def test_one_death_costs_no_pause() -> None:
    assert after_death(lived_seconds=600, quick_deaths=0) == StartAgain(0.0, 0)
    assert after_death(lived_seconds=1, quick_deaths=0) == StartAgain(0.0, 1)


def test_quick_deaths_in_a_row_wait_longer_each_time_and_then_end_it() -> None:
    pauses, quick_deaths = [], 0
    for _ in range(QUICK_DEATHS_MAX - 1):
        verdict = after_death(lived_seconds=0.1, quick_deaths=quick_deaths)
        assert isinstance(verdict, StartAgain)
        pauses.append(verdict.after_seconds)
        quick_deaths = verdict.quick_deaths
    assert pauses == sorted(pauses)
    assert pauses[1] > 0
    assert after_death(lived_seconds=0.1, quick_deaths=quick_deaths) == GiveUp(QUICK_DEATHS_MAX)


def test_a_runner_that_is_killed_outlives_a_run_that_takes_it_down_each_time() -> None:
    """The orchestrator gives such a run up after 8 times, and its hook after 3 more."""
    quick_deaths = 0
    for _ in range(ATTEMPTS_MAX + HOOK_ATTEMPTS_MAX + 1):
        verdict = after_death(lived_seconds=2, quick_deaths=quick_deaths, quick_deaths_max=KILLS_MAX)
        assert isinstance(verdict, StartAgain)
        quick_deaths = verdict.quick_deaths


def test_a_long_life_forgives_the_quick_deaths_before_it() -> None:
    assert after_death(lived_seconds=60, quick_deaths=QUICK_DEATHS_MAX - 1) == StartAgain(0.0, 0)
