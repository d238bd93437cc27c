"""What the table statistics tool promises, as tests that travel with every package that has it."""

import pytest

from penstock_runner.workflows.building.drafter.library.tools.table_statistics import describe, number


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
