"""How a number of things is said to people, everywhere in the same way."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """1 run, 2 runs, 1,000 runs. The noun is one that takes an s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
