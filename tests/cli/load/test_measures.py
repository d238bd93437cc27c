"""What the courses of a replay come to."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.cli.load.runs import course, due

from penstock_cli.load.domain.course import ideal
from penstock_cli.load.domain.measures import MOMENT_SECONDS, jain, measure, moment, spread


def test_waits_makespan_and_use_of_a_small_replay() -> None:
    courses = [course(0, 4, (0, 4)), course(0, 2, (1, 4)), course(2, 2, (5, 7))]
    measures = measure(courses, slots=2)
    assert (measures.wait_s.p50, measures.wait_s.most) == (1, 3)
    assert measures.makespan_s == 7
    assert measures.used == pytest.approx((4 + 3 + 2) / (2 * 7))
    assert measures.used_of_wanted == pytest.approx(9 / (2 * 4 + 1 * 3))
    assert (measures.overhead_s.p50, measures.overhead_s.most) == (0, 1)


def test_time_when_no_run_was_there_counts_for_nothing() -> None:
    measures = measure([course(0, 1, (0, 1)), course(99, 1, (99, 100))], slots=1)
    assert (measures.used, measures.used_of_wanted, measures.makespan_s) == (1, 1, 100)


def test_an_ideal_scheduler_uses_all_that_is_wanted() -> None:
    measures = measure(ideal([due(0, 3), due(1, 3), due(1, 5), due(20, 1)], slots=2), slots=2)
    assert measures.used_of_wanted == pytest.approx(1)
    assert measures.overhead_s.most == pytest.approx(0)


def test_tenants_are_told_apart() -> None:
    measures = measure(
        [
            course(0, 1, (0, 1), tenant="b"),
            course(0, 1, (2, 3), tenant="a"),
            course(0, 1, (4, 5), tenant="a"),
        ],
        slots=1,
    )
    assert list(measures.tenants) == ["a", "b"]
    assert (measures.tenants["a"].runs, measures.tenants["a"].wait_p50_s, measures.tenants["a"].slowdown_mean) == (
        2,
        3,
        4,
    )
    assert measures.jain == jain([4, 1])


@pytest.mark.parametrize(("values", "index"), [([2, 2, 2], 1.0), ([1, 0, 0, 0], 0.25), ([0, 0], 1.0), ([3], 1.0)])
def test_jains_index_is_1_for_equals_and_1_nth_when_one_has_all(values: list[float], index: float) -> None:
    assert jain(values) == pytest.approx(index)


def test_a_lead_is_what_a_tenant_gets_while_another_waits_with_less() -> None:
    """The tenant b waits from 1 to 9; a takes its third slot at 5, when b holds none."""
    a = [course(0, 9, (at, 9), tenant="a") for at in (0.0, 0.0, 5.0)]
    assert measure([*a, course(1, 1, (9, 10), tenant="b")], slots=3).lead_slots == 3


def test_a_run_that_was_not_in_line_yet_was_not_passed_over() -> None:
    a = [course(0, 9, (at, 9), tenant="a") for at in (0.0, 0.0, 5.0)]
    posted_late = replace(course(1, 1, (9, 10), tenant="b"), in_line_s=6)
    assert measure([*a, posted_late], slots=3).lead_slots is None


def test_what_changed_within_a_moment_is_no_lead() -> None:
    """A moment is 0.4 s here: a tenth of the run in the middle."""
    a = [course(0, 4, (at, 9), tenant="a") for at in (0.0, 5.0)]
    just_came = course(4.7, 4, (9, 13), tenant="b")
    soon_served = course(1, 4, (5.3, 9), tenant="b")
    just_ended = [course(0, 4, (0, 4.7), tenant="b"), course(1, 4, (9, 13), tenant="b")]
    assert moment(a) == pytest.approx(0.4)
    assert measure([*a, just_came], slots=2).lead_slots is None
    assert measure([*a, soon_served], slots=3).lead_slots is None
    assert measure([*a, *just_ended], slots=3).lead_slots == 1


def test_a_moment_is_never_shorter_than_a_run_needs_to_be_taken_up() -> None:
    assert moment([course(0, 0.5, (0, 0.5))]) == MOMENT_SECONDS


def test_who_holds_less_than_those_who_wait_has_no_lead() -> None:
    b = [course(0, 9, (0, 9), tenant="b"), course(0, 9, (0, 9), tenant="b"), course(0, 9, (9, 18), tenant="b")]
    assert measure([*b, course(0, 9, (3, 12), tenant="a")], slots=3).lead_slots == 0


def test_a_spread_of_one_value_is_that_value() -> None:
    assert spread([3.0]) == spread([3.0, 3.0])
