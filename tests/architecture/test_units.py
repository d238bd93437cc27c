"""The suite's units: who shares something costly runs in one process, and who takes long begins early."""

from __future__ import annotations

import pytest
from tests.conftest import COMPUTES, next_unit, place_of, unit_of

SEED = "tests/simulation/test_worlds.py::test_no_rule_is_broken_whatever_goes_wrong[7]"


@pytest.mark.parametrize(
    ("test", "unit"),
    [
        ("tests/contract/test_bus_contract.py::test_it[ministack]", "tests/contract ministack"),
        ("tests/contract/test_blobs_contract.py::test_it[moto-one/two]", "tests/contract moto"),
        ("tests/contract/test_trust.py::test_it[http://]", "tests/contract/test_trust.py"),
        ("tests/infra/test_alarms.py::test_it[dev]", "tests/infra"),
        ("tests/runner/building/test_lint.py::test_it", "tests/runner/building/test_lint.py"),
        (SEED, SEED),
    ],
)
def test_a_unit_is_a_file_unless_more_or_less_belongs_together(test: str, unit: str) -> None:
    assert unit_of(test) == unit


def test_engines_and_whole_products_come_first_and_the_small_worlds_last() -> None:
    tests = (
        "tests/contract/test_bus_contract.py::test_it[ministack]",
        "tests/contract/test_bus_contract.py::test_it[moto]",
        "tests/e2e/test_kills.py::test_it",
        "tests/api/test_runs.py::test_it",
        SEED,
    )
    assert [place_of(test) for test in tests] == [0, 1, 2, 3, 4]


def test_one_process_begins_with_the_small_worlds_and_takes_others_when_none_is_left() -> None:
    units = ["tests/e2e/test_kills.py", "tests/api/test_runs.py", SEED]
    assert next_unit(units, COMPUTES) == SEED
    assert next_unit(units[:2], COMPUTES) == units[0]
    assert next_unit(units, "gw1") == units[0]
