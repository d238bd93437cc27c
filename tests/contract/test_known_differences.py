"""The list of known differences is true: its page agrees with it, and every test that it names exists."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.contract.known_differences import KNOWN_DIFFERENCES, PAGE, as_markdown
from tests.contract.rigs import RIGS

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
