"""What the price quote tool promises, as tests that travel with every package that has it."""

from decimal import Decimal
from pathlib import Path

import pytest

from penstock_runner.workflows.building.drafter.library.tools.desk import Desk, ToolError
from penstock_runner.workflows.building.drafter.library.tools.price_quote import (
    SAMPLE_PRICES,
    answer,
    price_table,
    quote,
)


def test_a_quote_multiplies_exactly() -> None:
    lines = quote("3 x server, 100 x storage", price_table(SAMPLE_PRICES))
    assert [line.total for line in lines] == [Decimal("120.00"), Decimal("8.00")]


def test_an_item_without_a_price_is_never_left_out_silently() -> None:
    with pytest.raises(ToolError, match="no price for 'moon'"):
        quote("1 x moon", price_table(SAMPLE_PRICES))


def test_a_quote_from_sample_prices_says_so() -> None:
    assert "sample prices" in answer("Quote: 1 x server", Desk())
    assert "示例价格" in answer("报价：1 x server", Desk())


def test_the_users_own_table_is_used(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("item,price,currency\n水泵,99.5,CNY\n", "utf-8")
    assert "199.00 CNY" in answer("报价：2 台水泵", Desk(files=(path,)))


def test_a_table_without_prices_is_refused() -> None:
    with pytest.raises(ToolError, match="columns item and price"):
        price_table("a,b\n1,2")
