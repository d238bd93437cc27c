"""How times are stored: milliseconds since 1970 UTC as int, and ISO 8601 text where they are sorted."""

from __future__ import annotations

from datetime import UTC, datetime


def to_ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def from_ms(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def to_text(ms: int) -> str:
    """Sorts as time does: 2026-11-24T02:47:13.123Z."""
    return from_ms(ms).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def from_text(text: str) -> int:
    """What to_text has made. Raises ValueError for anything else."""
    return to_ms(datetime.fromisoformat(text))
