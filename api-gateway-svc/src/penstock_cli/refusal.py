"""The one way a command says no: a plain sentence for the person, and an exit code."""

from __future__ import annotations

PROBLEM = "✗ "
"""Begins each line that says what cannot be served."""


class Refusal(Exception):
    """The text says what is wrong and what to do; `detail` is what a log said last, when that helps."""

    def __init__(self, sentence: str, detail: str = "") -> None:
        super().__init__(sentence)
        self.detail = detail
