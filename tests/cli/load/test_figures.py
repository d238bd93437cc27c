"""The figures are flat, and what would mislead their reader is said beside them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from rich.console import Console
from tests.cli.load.runs import due

from penstock_cli.load.domain.course import Course, Due
from penstock_cli.load.domain.figures import Outcome, Report, Settings, flat, in_words, remarks, report
from penstock_cli.load.table import introduction, show

SETTINGS = Settings("trace.csv", speed=100, slots=1, busy_percent=None)
DUES = (due(0, 1, "acme", input_tokens=10), due(0.5, 2, "zeta", input_tokens=20))


def played(overhead: float = 0.0, late: float = 0.0, *, dues: tuple[Due, ...] = DUES, tokens: int = 30) -> Report:
    courses, free = [], 0.0
    for one in dues:
        start = max(free, one.at_s)
        free = start + one.length_s + overhead
        courses.append(Course(one, one.at_s, ((start, free),)))
    return report(SETTINGS, dues, Outcome(courses, (), [late], Counter({"input_tokens": tokens})))


def test_every_figure_stands_beside_the_ideal_one() -> None:
    figures = flat(played(overhead=0.25))
    assert (figures["runs"], figures["succeeded"], figures["failed"], figures["speed"], figures["limit"]) == (
        2,
        2,
        0,
        100,
        1,
    )
    assert (figures["makespan_s"], figures["ideal_makespan_s"]) == (3.5, 3.0)
    assert figures["makespan_over_ideal"] == pytest.approx(3.5 / 3)
    assert (figures["wait_max_s"], figures["ideal_wait_max_s"]) == (0.75, 0.5)
    assert (figures["overhead_p50_s"], figures["tenant/zeta/wait_p50_s"]) == (0.25, 0.75)
    assert figures["offered_pct"] == 600
    assert figures["input_tokens"] == 30
    assert {name.removeprefix("ideal_") for name in figures if name.startswith("ideal_")} <= set(figures)


def test_a_good_replay_needs_no_remark() -> None:
    assert remarks(played(overhead=0.05)) == []


def test_a_speed_at_which_the_machinery_shows_is_told_plainly() -> None:
    (remark,) = remarks(played(overhead=0.25))
    assert remark == (
        "At this speed the shortest run lasts 1 s and half of them 1.5 s at most; Penstock's own work adds 250 ms to half of "
        "the runs, and that shows in waits and slowdowns. A lower --speed makes it smaller."
    )
    (remark,) = remarks(played(overhead=0.8))
    assert "the figures tell of Penstock more than of the workload" in remark


def test_projects_that_were_posted_late_are_told() -> None:
    (remark,) = remarks(played(late=0.2))
    assert "one was accepted 200 ms late" in remark


def test_usage_that_got_lost_is_told() -> None:
    (remark,) = remarks(played(tokens=29))
    assert remark == "The runs have reported less than the trace says: 29 of 30 input_tokens."


def test_priorities_do_not_age_faster_in_a_replay_and_that_is_told() -> None:
    urgent = replace(DUES[0], run=replace(DUES[0].run, priority=1))
    (remark,) = remarks(played(dues=(urgent, DUES[1])))
    assert "15 minutes" in remark


def test_runs_that_failed_are_told_and_only_the_first_ones_by_name() -> None:
    errors = [f"build {number}: no luck" for number in range(5)]
    told = report(SETTINGS, DUES, Outcome((), errors, [0.0], Counter(input_tokens=30)))
    assert [*remarks(told)] == [
        "a run failed: build 0: no luck",
        "a run failed: build 1: no luck",
        "a run failed: build 2: no luck",
        "2 more runs failed",
    ]
    assert "makespan_s" not in flat(told)
    assert flat(told)["failed"] == 5


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 ms"), (0.0034, "3 ms"), (0.9996, "1 s"), (1.424, "1.42 s"), (59.99, "1 min 00 s"), (189.0, "3 min 09 s"),
        (3599.6, "1 h 00 min"), (7500.0, "2 h 05 min"), (99 * 3600.0, "4 d 03 h"),
    ],
)  # fmt: skip
def test_times_are_said_with_as_many_digits_as_mean_something(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_the_report_fits_a_terminal_of_80_columns() -> None:
    console = Console(width=80, record=True, highlight=False)
    show(played(overhead=0.05), console)
    said = console.export_text()
    assert ["over", "the", "ideal", "1.033", "1"] in [line.split() for line in said.splitlines()]
    assert said.rstrip().endswith("2 succeeded, 0 failed")
    assert max(map(len, said.splitlines())) <= 80


def test_the_introduction_says_what_will_happen() -> None:
    assert introduction(SETTINGS, DUES, 3.0) == (
        "Penstock load: 2 runs of trace.csv at speed 100, arriving so that 600 % of the slots are asked for; at most 1 at a "
        "time.\nAn ideal scheduler would need 3 s."
    )
    assert "so that 0.13 % of" in introduction(SETTINGS, (due(0, 0.5), due(1000, 0.8)), 1.0)
    alone = introduction(SETTINGS, DUES[:1], 1.0)
    assert alone.startswith("Penstock load: 1 run of trace.csv at speed 100, arriving all at once;")
