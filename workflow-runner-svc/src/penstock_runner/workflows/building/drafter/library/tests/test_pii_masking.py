"""What the pii masking tool promises, as tests that travel with every package that has it."""

import pytest

from penstock_runner.workflows.building.drafter.library.tools.desk import Desk
from penstock_runner.workflows.building.drafter.library.tools.pii_masking import answer, is_card_number, mask


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("write to ada.l@example.co.uk now", "write to [mail] now"),
        ("手机13800138000。", "手机[phone]。"),
        ("call +1 415 555 0134", "call [phone]"),
        ("Tel. +49 170 1234567, or +442079460958.", "Tel. [phone], or [phone]."),
        ("IBAN DE89 3704 0044 0532 0130 00, BIC X", "IBAN [account], BIC X"),
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


def test_a_text_without_an_order_before_it_is_kept_whole() -> None:
    assert answer("Name: Ada, mail a@b.ch", Desk()) == "Name: Ada, mail [mail]\nHidden: mail 1"
    assert answer("姓名：张三，邮箱 a@b.ch", Desk()) == "姓名：张三，邮箱 [mail]\n已隐藏：mail 1"
    assert answer("Mask this: Name: Ada", Desk()) == "Name: Ada\nHidden: 0"
