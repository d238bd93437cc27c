"""What a checker says when a rule is broken."""

from __future__ import annotations


class Violation(Exception):
    """`rule` is the name of a rule in docs/simulation.md, or "log" for an error that the surroundings do not explain.

    Of the invariants I1 to I16 that the design asks for, I8 (the sum of budgets) is reported as I1, and three are checked
    elsewhere: that no tenant sees another's runs (I13) and that the position which is told is true (I14) in tests/api and
    tests/orchestrator/test_boards.py, because nobody reads through the API in the simulation; and what a run costs in writes
    (I15) in test_costs.py, because it has a bound only where nothing goes wrong. I17 to I19 are rules of the simulation's own.
    """

    def __init__(self, rule: str, sentence: str) -> None:
        super().__init__(f"{rule}: {sentence}")
        self.rule = rule


def demand(holds: object, rule: str, sentence: str) -> None:
    if not holds:
        raise Violation(rule, sentence)
