"""No state that two deciders can reach passes a limit, and each condition is needed for that."""

from __future__ import annotations

import pytest
from tests.spec.budgets import Broken, Rules, search


def test_no_limit_is_passed_in_any_state() -> None:
    assert search(Rules()) > 10_000


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param(Rules(heads_are_fenced=False), id="a budget is lowered without its head"),
        pytest.param(Rules(limits_are_checked=False), id="budgets grow on a limit that has changed"),
        pytest.param(Rules(others_count=False), id="a shard goes by its budget when the limit was lowered"),
    ],
)
def test_without_one_of_the_conditions_a_limit_is_passed(rules: Rules) -> None:
    with pytest.raises(Broken):
        search(rules)
