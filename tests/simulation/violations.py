"""What a checker says when a rule is broken."""

from __future__ import annotations


class Violation(Exception):
    """`rule` is the invariant's name in reliability's list (I1 … I16)."""

    def __init__(self, rule: str, sentence: str) -> None:
        super().__init__(f"{rule}: {sentence}")
        self.rule = rule


def demand(holds: object, rule: str, sentence: str) -> None:
    if not holds:
        raise Violation(rule, sentence)
