"""When a replayed run is due, and what an ideal scheduler would make of all of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.cli.load.runs import course, due, traced

from penstock_cli.load.domain.course import ideal, offered_seconds, plan


def test_speed_shortens_arrivals_and_durations_alike() -> None:
    dues = plan([traced(0, 100), traced(50, 10)], speed=10, slots=2, busy_percent=None)
    assert [(one.at_s, one.length_s) for one in dues] == [(0, 10), (5, 1)]


def test_arrivals_are_drawn_together_until_they_ask_for_that_much_of_the_slots() -> None:
    runs = [traced(0, 100), traced(1000, 100), traced(4000, 200)]
    dues = plan(runs, speed=1, slots=2, busy_percent=50)
    assert [one.length_s for one in dues] == [100, 100, 200]
    assert [one.at_s for one in dues] == [0, 100, 400]
    assert offered_seconds(runs, 2) == 200


def test_runs_that_arrive_at_once_stay_together_whatever_is_asked() -> None:
    dues = plan([traced(0, 100), traced(0, 100)], speed=1, slots=2, busy_percent=50)
    assert [one.at_s for one in dues] == [0, 0]


def test_the_first_free_slot_goes_to_whoever_arrived_first() -> None:
    courses = ideal([due(0, 4), due(0, 1), due(0.5, 2), due(9, 1)], slots=2)
    assert [one.holds for one in courses] == [((0, 4),), ((0, 1),), ((1, 3),), ((9, 10),)]
    assert [one.wait_s for one in courses] == [0, 0, 0.5, 0]


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0.1, 50)), min_size=1, max_size=30),
    st.integers(1, 6),
)
def test_an_ideal_course_holds_the_limit_and_leaves_no_slot_free_while_somebody_waits(
    runs: list[tuple[float, float]], slots: int
) -> None:
    courses = ideal([due(at, length) for at, length in runs], slots)
    for one in courses:
        held = sum(other.started_s <= one.started_s < other.ended_s for other in courses)
        assert held <= slots
        if one.wait_s > 0:
            middle = (one.due.at_s + one.started_s) / 2
            assert sum(other.started_s <= middle < other.ended_s for other in courses) == slots


def test_a_run_that_lost_its_runner_has_held_slots_twice() -> None:
    lost = course(1, 4, (2, 3), (5, 10))
    assert (lost.wait_s, lost.started_s, lost.ended_s) == (1, 2, 10)
    assert lost.overhead_s == 2
    assert lost.slowdown == 9 / 4
