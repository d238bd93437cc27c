"""A process that died comes back at once; one that dies again and again does not."""

from __future__ import annotations

from penstock_cli.restart import KILLS_MAX, PAUSE_SECONDS_MAX, QUICK_DEATHS_MAX, Deaths, GiveUp, StartAgain, after_death


def course(count: int, *, was_ready: bool = False, was_killed: bool = False) -> tuple[list[float], Deaths]:
    """The pauses after so many quick deaths, and what is to be handed in at the next one."""
    pauses, deaths = [], Deaths()
    for _ in range(count):
        verdict = after_death(lived_seconds=0.1, was_ready=was_ready, was_killed=was_killed, before=deaths)
        assert isinstance(verdict, StartAgain)
        pauses.append(verdict.after_seconds)
        deaths = verdict.deaths
    return pauses, deaths


def test_one_death_costs_no_pause() -> None:
    assert after_death(lived_seconds=600, was_ready=False, was_killed=False, before=Deaths()) == StartAgain(
        0.0, Deaths()
    )
    assert course(1)[0] == [0.0]


def test_quick_deaths_in_a_row_wait_longer_each_time_and_then_end_it() -> None:
    pauses, deaths = course(QUICK_DEATHS_MAX - 1)
    assert pauses == sorted(pauses)
    assert pauses[1] > 0
    verdict = after_death(lived_seconds=0.1, was_ready=False, was_killed=False, before=deaths)
    assert verdict == GiveUp(QUICK_DEATHS_MAX)


def test_a_program_that_is_killed_before_it_got_going_is_given_up_later() -> None:
    _, deaths = course(KILLS_MAX - 1, was_killed=True)
    verdict = after_death(lived_seconds=0.1, was_ready=False, was_killed=True, before=deaths)
    assert verdict == GiveUp(KILLS_MAX)


def test_a_program_that_was_ready_is_started_again_however_often_it_dies_but_not_in_haste() -> None:
    pauses, _ = course(10 * KILLS_MAX, was_ready=True)
    assert pauses[-1] == PAUSE_SECONDS_MAX


def test_a_start_that_fails_after_many_deaths_of_a_ready_program_is_only_the_first_of_its_kind() -> None:
    _, deaths = course(KILLS_MAX, was_ready=True)
    verdict = after_death(lived_seconds=0.1, was_ready=False, was_killed=False, before=deaths)
    assert verdict == StartAgain(PAUSE_SECONDS_MAX, Deaths(KILLS_MAX + 1, 1))


def test_a_long_life_forgives_the_quick_deaths_before_it() -> None:
    _, deaths = course(QUICK_DEATHS_MAX - 1)
    assert after_death(lived_seconds=60, was_ready=False, was_killed=False, before=deaths) == StartAgain(0.0, Deaths())
