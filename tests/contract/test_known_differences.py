"""The list of known differences is true: its page agrees with it, and every test that it names exists."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from tests.contract.known_differences import (
    KNOWN_DIFFERENCES,
    NOT_REFUSED,
    PAGE,
    Difference,
    Test,
    as_markdown,
    failing,
)
from tests.contract.rigs import RIGS
from tests.contract.spared import SPARED

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent


def test_the_page_says_what_the_table_says() -> None:
    """When this fails: `python -m tests.contract.known_differences`."""
    assert PAGE.read_text(encoding="utf-8") == as_markdown()


def test_every_test_that_is_named_exists() -> None:
    existing = {
        node.name
        for path in HERE.glob("test_*_contract.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.AsyncFunctionDef)
    }
    named = {test.partition("[")[0] for _, test in KNOWN_DIFFERENCES}
    assert named - existing == set()


def test_our_own_engines_have_no_excuse() -> None:
    assert {engine for engine, _ in KNOWN_DIFFERENCES} <= set(RIGS) - {"memory", "embedded"}


def test_every_difference_has_its_reason() -> None:
    assert all(difference.reason.endswith(".") for difference in KNOWN_DIFFERENCES.values())


async def refuses_nothing() -> None:
    pytest.fail("DID NOT RAISE")


async def answers_otherwise() -> None:
    raise AssertionError


async def never_ends() -> None:
    raise TimeoutError


async def is_wrong_itself() -> None:
    raise TypeError


async def passes() -> None:
    pass


@pytest.mark.parametrize("test", [answers_otherwise, never_ends, is_wrong_itself])
async def test_a_test_that_fails_in_another_way_than_its_entry_says_fails(test: Test) -> None:
    with pytest.raises((AssertionError, TimeoutError, TypeError)):
        await failing(test, Difference("It refuses nothing.", NOT_REFUSED))()


async def test_a_test_that_fails_as_its_entry_says_is_expected_to() -> None:
    with pytest.raises(pytest.xfail.Exception):
        await failing(refuses_nothing, Difference("It refuses nothing.", NOT_REFUSED))()


async def test_a_test_that_passes_has_an_entry_too_many() -> None:
    with pytest.raises(pytest.fail.Exception, match="mended"):
        await failing(passes, Difference("It refuses nothing.", NOT_REFUSED))()


def test_no_entry_expects_a_test_that_is_wrong_itself_or_never_ends() -> None:
    for difference in KNOWN_DIFFERENCES.values():
        if difference.raises is not None:
            assert not issubclass(TimeoutError, difference.raises)
            assert not issubclass(TypeError, difference.raises)


def test_what_programs_leave_out_is_shown_by_tests_that_fail_there() -> None:
    shown = {(engine, test.partition("[")[0]) for (engine, test), known in KNOWN_DIFFERENCES.items() if known.raises}
    for engine, spares in SPARED.items():
        assert {(engine, repro) for spare in spares for repro in spare.repros} <= shown
