"""What the dates tool promises, as tests that travel with every package that has it."""

from datetime import date

import pytest

from penstock_runner.workflows.building.drafter.library.tools.dates import calculate, shift
from penstock_runner.workflows.building.drafter.library.tools.desk import ToolError

TODAY = date(2026, 3, 31)


@pytest.mark.parametrize(
    ("request_text", "reply"),
    [
        ("from 2026-01-01 to 2026-03-01", "59 days"),
        ("2026年1月1日到2026年3月1日", "59 天"),
        ("2024-02-28 + 1 day", "2024-02-29 Thursday"),
        ("今天 3 天后", "2026-04-03 Friday"),
        ("2 weeks before 2026-01-15", "2026-01-01 Thursday"),
        ("today", "2026-03-31 Tuesday"),
        ("How long is it until 2026-05-01?", "2026-05-01 Friday, in 31 days"),
        ("距离2026年3月1日", "2026-03-01 Sunday，30 天前"),
    ],
)
def test_dates_are_calculated(request_text: str, reply: str) -> None:
    assert calculate(request_text, TODAY) == reply


def test_a_month_later_keeps_to_the_end_of_the_month() -> None:
    assert shift(date(2026, 1, 31), 1, "months") == date(2026, 2, 28)
    assert shift(date(2024, 2, 29), -1, "years") == date(2023, 2, 28)


@pytest.mark.parametrize("request_text", ["no date here", "2026-13-45", "2026-01-01 + 9999 years"])
def test_what_cannot_be_calculated_is_explained(request_text: str) -> None:
    with pytest.raises(ToolError):
        calculate(request_text, TODAY)
