"""Where an emulator does not do what AWS does: the one table behind KNOWN_DIFFERENCES.md."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """`tried`: the test runs and must fail, so that a mended emulator is noticed; otherwise it is skipped."""

    reason: str
    tried: bool


KNOWN_DIFFERENCES: dict[tuple[str, str], Difference] = {}
"""(engine, name of the test) → why it fails there."""
