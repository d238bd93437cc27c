"""Judges leases by seeing heartbeats not change, on one monotonic clock; clocks of two machines are never compared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from penstock_backbone.records.sessions import LEASE_SECONDS


class Beat(NamedTuple):
    """A session's heartbeat number, and when this process first saw that number (monotonic seconds)."""

    number: int
    seen_at: float


class Leases:
    def __init__(self) -> None:
        self._beats: dict[str, Beat] = {}

    def observe(self, session: str, number: int, now: float) -> None:
        known = self._beats.get(session)
        if known is None or known.number != number:
            self._beats[session] = Beat(number, now)

    def has_expired(self, session: str, now: float) -> bool:
        """Whether its heartbeat has stood still for a lease. One that was never observed has not."""
        known = self._beats.get(session)
        return known is not None and now - known.seen_at >= LEASE_SECONDS

    def forget_all_but(self, sessions: Iterable[str]) -> None:
        self._beats = {session: self._beats[session] for session in sessions if session in self._beats}
