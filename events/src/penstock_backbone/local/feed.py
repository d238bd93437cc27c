"""What the feeds of the local engines have in common."""

SEQUENCE_DIGITS = 20
"""A sequence is a decimal number, zero-padded so that text sorts as numbers do."""
