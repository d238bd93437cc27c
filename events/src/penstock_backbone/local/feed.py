"""What the feeds of the local engines have in common."""

from __future__ import annotations

from penstock_backbone.errors import Invalid

SEQUENCE_DIGITS = 20
"""A sequence is a decimal number, zero-padded so that text sorts as numbers do."""


def check_sequence(sequence: str, digits_max: int = SEQUENCE_DIGITS) -> str:
    if not (sequence.isascii() and sequence.isdecimal() and len(sequence) <= digits_max):
        raise Invalid(f"{sequence[:40]!r} is not a sequence of this stream")
    return sequence


def feed_number(sequence: str) -> int:
    return int(check_sequence(sequence))
