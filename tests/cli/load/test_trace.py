"""A trace is read as its author meant it, or refused with the line and the column of the first mistake."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from penstock_api.domain import new_project
from penstock_api.domain.limit_change import TENANT_NAME as TENANT_NAME_OF_THE_API
from penstock_cli.load.domain import trace
from penstock_cli.load.domain.trace import RUNS_MAX, TENANT_NAME, Trace, UnusableTrace
from penstock_cli.load.files import OBSERVED
from penstock_runner.workflows.replay import STAGES_MAX


def parse(text: str) -> Trace:
    return trace.parse(text, STAGES_MAX)


def mistake(text: str) -> str:
    with pytest.raises(UnusableTrace) as caught:
        parse(text)
    return str(caught.value)


def test_every_column_is_read_and_cells_may_be_empty() -> None:
    read = parse(
        "\ufeffName, arrival_s ,duration_s,tenant,priority,stages,input_tokens,output_tokens,tool_calls,cost_usd,mood\r\n"
        '"a, b",10.5,3,acme,1,5/7,751900.0,20,3,2.5,good\r\n'
        "\r\n"
        ",4,60,,,,,,,,\r\n"
    )
    second, first = read.runs
    assert (first.name, first.arrival_s, first.duration_s, first.tenant) == ("a, b", 6.5, 3.0, "acme")
    assert (first.priority, first.stages) == (1, 5)
    assert first.usage == {"input_tokens": 751900, "output_tokens": 20, "tool_calls": 3, "cost_microusd": 2_500_000}
    assert (second.name, second.arrival_s, second.tenant, second.priority, second.stages, second.usage) == (
        "line 4", 0.0, "default", 3, 1, {},
    )  # fmt: skip
    assert read.ignored == ("mood",)


@pytest.mark.parametrize(
    ("column", "first", "second"),
    [
        ("arrival_s", "100", "105"),
        ("arrived_at", "2026-01-31 14:05:00", "2026-01-31T14:05:05Z"),
        ("started_at", "2026-01-31 14:05:00", "2026-01-31 15:05:05+01:00"),
        ("finished_at", "2026-01-31 14:05:10", "2026-01-31 14:05:25"),
    ],
)
def test_the_arrival_may_be_told_in_four_ways(column: str, first: str, second: str) -> None:
    """A run that only says when it finished arrived when it began."""
    read = parse(f"{column},duration_s\n{first},10\n{second},20\n")
    assert [run.arrival_s for run in read.runs] == [0.0, 5.0]


def test_the_arrival_that_is_told_most_directly_counts() -> None:
    read = parse("finished_at,arrived_at,duration_s\n2026-01-02,2026-01-01,1\n2026-01-02,2026-01-01 00:00:09,1\n")
    assert [run.arrival_s for run in read.runs] == [0.0, 9.0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it is empty: the first line names the columns, and each further line is a run."),
        ("\n\n", "it is empty: the first line names the columns, and each further line is a run."),
        ("arrival_s,duration_s\n", "it has a header and no run: each further line is a run."),
        ("arrival_s,length\n1,2\n", "it has no column duration_s: line 1 must name it."),
        ("arrival_s;duration_s\n1;2\n", "it has no column duration_s: line 1 must name it."),
        (
            "name,duration_s\na,2\n",
            "it does not say when runs arrived: line 1 must name one of arrival_s, arrived_at, started_at, finished_at.",
        ),
        ("arrival_s,duration_s,duration_s\n1,2,3\n", "line 1 names the column duration_s twice."),
        ("arrival_s,duration_s\n1,2\n1\n", "line 3 has 1 cell, and the header has 2."),
        ("arrival_s,duration_s\n1,2\n3,abc\n", "line 3, column duration_s: 'abc' is not a number."),
        ("arrival_s,duration_s\n1,nan\n", "line 2, column duration_s: 'nan' is not a number."),
        ("arrival_s,duration_s\n1,-2\n", "line 2, column duration_s: '-2' is negative."),
        ("arrival_s,duration_s\n-1,2\n", "line 2, column arrival_s: '-1' is negative."),
        ("arrival_s,duration_s\n1,\n", "line 2, column duration_s: it is empty."),
        ("arrival_s,duration_s\n1,0\n", "line 2, column duration_s: '0' is no duration: a run takes time."),
        ("arrival_s,duration_s\n1,1e9\n", "line 2, column duration_s: '1e9' is more than 604,800 seconds."),
        ("started_at,duration_s\nMonday,1\n", "line 2, column started_at: 'Monday' is not a time as 2026-01-31 14:05:00."),
        (
            "started_at,duration_s\n1926-01-31,1\n2026-01-31,1\n",
            "more than ten years lie between its first and its last run: is a time mistyped?",
        ),
        (
            "arrival_s,duration_s,tenant\n1,1,Acme Inc\n",
            "line 2, column tenant: 'Acme Inc' cannot be a tenant: 1 to 40 lower-case letters, digits and dashes, not a dash first.",
        ),
        ("arrival_s,duration_s,priority\n1,1,6\n", "line 2, column priority: '6' is more than 5 (priorities are 1 to 5)."),
        ("arrival_s,duration_s,priority\n1,1,0\n", "line 2, column priority: '0' is no priority: they are 1 to 5."),
        ("arrival_s,duration_s,priority\n1,1,1.5\n", "line 2, column priority: '1.5' is not a whole number."),
        ("arrival_s,duration_s,stages\n1,1,0/9\n", "line 2, column stages: '0/9' is no number of stages: a run has one at least."),
        ("arrival_s,duration_s,stages\n1,1,21\n", "line 2, column stages: '21' is more than 20 stages."),
        ("arrival_s,duration_s,cost_usd\n1,1,-1\n", "line 2, column cost_usd: '-1' is negative."),
        ("arrival_s,duration_s,tool_calls\n1,1,2.5\n", "line 2, column tool_calls: '2.5' is not a whole number."),
        (
            "arrival_s,duration_s,name\n1,1,a\x07b\n",
            "line 2, column name: 'a\\x07b' cannot be a name: up to 200 characters that can be printed.",
        ),
        ('arrival_s,duration_s\n1,"2\n', "line 2 cannot be read as CSV: unexpected end of data."),
        (
            "arrival_s,duration_s\n" + "1,2\n" * (RUNS_MAX + 1),
            f"it has more than {RUNS_MAX:,} runs: replay a part of it.",
        ),
        (
            "arrival_s,duration_s\n1," + "9" * 50 + "x\n",
            "line 2, column duration_s: '" + "9" * 40 + "…' is not a number.",
        ),
    ],
)  # fmt: skip
def test_the_first_mistake_is_told_in_a_sentence(text: str, told: str) -> None:
    assert mistake(text) == told


def test_what_a_trace_may_say_is_what_the_api_takes() -> None:
    assert TENANT_NAME.pattern == TENANT_NAME_OF_THE_API.pattern
    assert (trace.PRIORITY_MIN, trace.PRIORITY_MAX, trace.PRIORITY_DEFAULT, trace.NAME_CHARS_MAX) == (
        new_project.PRIORITY_MIN, new_project.PRIORITY_MAX, new_project.PRIORITY_DEFAULT, new_project.NAME_CHARS_MAX,
    )  # fmt: skip


def test_every_column_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")
    documented = re.findall(r"`(\w+)`", "".join(re.findall(r"^\|(.*?)\|", page.split("## Replaying")[1], re.MULTILINE)))
    assert sorted(documented) == sorted(trace.COLUMNS)


def test_the_trace_that_ships_holds_36_builds() -> None:
    read = parse(OBSERVED.read_text(encoding="utf-8"))
    assert len(read.runs) == 36
    assert read.ignored == ()
    assert {run.stages for run in read.runs} == {5, 8, 9}
    assert (min(run.duration_s for run in read.runs), max(run.duration_s for run in read.runs)) == (676.13, 3744.59)
    assert sum(run.usage["cost_microusd"] for run in read.runs) == 262_523_208
