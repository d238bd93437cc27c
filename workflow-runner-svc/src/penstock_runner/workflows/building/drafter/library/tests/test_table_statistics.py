"""What the table statistics tool promises, as tests that travel with every package that has it."""

import pytest

from penstock_runner.workflows.building.drafter.library.tools.desk import Desk
from penstock_runner.workflows.building.drafter.library.tools.table_statistics import answer, describe, number, totals

SALES = "month,region,sales\n2026-01,North,120\n2026-01,South,80\n2026-02,North,70\n2026-02,South,200"


def test_each_number_column_is_described() -> None:
    (visitors,) = describe("city,visitors\nBern,100\nBasel,80\nZug,90")
    assert (visitors.name, visitors.count, visitors.minimum, visitors.maximum) == ("visitors", 3, 80, 100)
    assert (visitors.mean, visitors.median, visitors.change) == (90, 90, -10)


def test_empty_and_text_cells_are_left_out() -> None:
    (price,) = describe("item,price\na,1\nb,\nc,unknown\nd,3")
    assert (price.count, price.mean) == (2, 2)


@pytest.mark.parametrize(
    ("text", "value"), [("1,234.5", 1234.5), ("￥12", 12), ("7%", 7), ("nan", None), ("inf", None), ("", None)]
)
def test_numbers_are_read_as_people_write_them(text: str, value: float | None) -> None:
    assert number(text) == value


def test_a_text_without_numbers_has_no_columns() -> None:
    assert describe("just words") == []


def test_numbers_are_added_up_by_the_words_that_come_again() -> None:
    assert totals(SALES) == {
        ("sales", "month"): {"2026-02": 270, "2026-01": 200},
        ("sales", "region"): {"South": 280, "North": 190},
    }
    assert totals("city,visitors\nBern,100\nBasel,80") == {}, "words that come once are names, not groups"


@pytest.mark.parametrize("request_text", [SALES, f"Statistics for this CSV:\n{SALES}", f"Averages, please\n{SALES}"])
def test_a_table_keeps_its_head_with_or_without_an_order_before_it(request_text: str) -> None:
    told = answer(request_text, Desk()).splitlines()
    assert told[1:] == [
        "sales: n=4 min=70 max=200 mean=117.5 median=100 change=+80",
        "sales by month: 2026-02 270, 2026-01 200",
        "sales by region: South 280, North 190",
    ]
