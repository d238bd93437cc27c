"""What the pii masking tool promises, as tests that travel with every package that has it."""

import pytest

from penstock_runner.workflows.building.drafter.library.tools.pii_masking import is_card_number, mask


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("write to ada.l@example.co.uk now", "write to [mail] now"),
        ("手机13800138000。", "手机[phone]。"),
        ("call +1 415 555 0134", "call [phone]"),
        ("身份证11010519491231002X", "身份证[identity]"),
        ("card 4111 1111 1111 1111", "card [card]"),
        ("from 192.168.0.1", "from [address]"),
        ("order 4111 1111 1111 1112", "order 4111 1111 1111 1112"),
        ("version 1.2.3 of 2026", "version 1.2.3 of 2026"),
    ],
)
def test_personal_data_is_hidden_and_nothing_else(text: str, masked: str) -> None:
    assert mask(text).text == masked


def test_finds_are_counted_by_kind() -> None:
    assert mask("a@b.ch c@d.ch 10.0.0.1").counts == {"mail": 2, "address": 1}


def test_the_checksum_tells_card_numbers_from_others() -> None:
    assert is_card_number("4111111111111111")
    assert not is_card_number("4111111111111112")
