"""Items survive the way through DynamoDB's typed JSON unchanged."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_backbone.aws.values import from_item, from_typed, to_item, to_typed
from penstock_backbone.errors import Fatal, Invalid

PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text() | st.binary()
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(min_size=1), inner), max_leaves=20)


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.text(min_size=1), VALUES))
def test_an_item_comes_back_as_it_was(item: dict[str, Any]) -> None:
    assert from_item(to_item(item)) == item


def test_each_type_has_its_letter() -> None:
    item = {"s": "é", "n": -7, "b": b"\x00", "yes": True, "none": None, "l": [1, "a"], "t": (1,), "m": {"x": {}}}
    assert to_item(item) == {
        "s": {"S": "é"},
        "n": {"N": "-7"},
        "b": {"B": b"\x00"},
        "yes": {"BOOL": True},
        "none": {"NULL": True},
        "l": {"L": [{"N": "1"}, {"S": "a"}]},
        "t": {"L": [{"N": "1"}]},
        "m": {"M": {"x": {"M": {}}}},
    }


@pytest.mark.parametrize("value", [1.0, Decimal(1), {1, 2}, object(), "\ud800", {"\udfff": 1}, [{"a": 1.5}]])
def test_what_would_not_come_back_the_same_is_refused(value: Any) -> None:
    with pytest.raises(Invalid):
        to_typed(value)


@pytest.mark.parametrize(
    ("text", "number"), [("7", 7), ("-0", 0), ("7.0", 7), ("1E+3", 1000), ("9" * 38, int("9" * 38))]
)
def test_a_number_is_read_as_an_integer_however_it_is_spelled(text: str, number: int) -> None:
    value = from_typed({"N": text})
    assert value == number
    assert type(value) is int


@pytest.mark.parametrize("typed", [{"N": "1.5"}, {"N": "x"}, {"SS": ["a"]}])
def test_what_this_product_never_writes_is_not_guessed_at(typed: dict[str, Any]) -> None:
    with pytest.raises(Fatal):
        from_typed(typed)


def test_binary_is_read_as_boto3_and_as_lambda_give_it() -> None:
    assert from_typed({"B": b"abc"}) == b"abc"
    assert from_typed({"B": "YWJj"}) == b"abc"
