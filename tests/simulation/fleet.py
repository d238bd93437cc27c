"""Follows the sessions that are committed, and says what was served at any moment (I17)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.simulation.network import Call, seen_before

from penstock_backbone.records.sessions import Served, needed, served_by
from penstock_backbone.vocabulary import Item


class Fleet:
    """What is asked here is judged from the last reading of the sessions that a decider can have decided on."""

    def __init__(self, runs: Mapping[str, Item]) -> None:
        self._runs = runs
        self._sessions: dict[str, Item] = {}
        self._served: list[tuple[float, Served]] = [(-1.0, None)]

    def committed(self, now: float, session: str, new: Item | None) -> None:
        if new is None:
            self._sessions.pop(session, None)
        else:
            self._sessions[session] = new
        served = served_by(self._sessions.values())
        if served != self._served[-1][1]:
            self._served.append((now, served))

    def was_served(self, run: str, call: Call) -> bool:
        """At one moment since then, or nobody was there."""
        return any(self._histories(run, call))

    def is_surely_served(self, run: str, call: Call) -> bool:
        """At every moment since then."""
        return all(self._histories(run, call))

    def serves(self, run: str) -> bool:
        """Now."""
        served = self._served[-1][1]
        return served is None or self._needs(run) in served

    def _histories(self, run: str, call: Call) -> Iterator[bool]:
        since = seen_before(call)
        last_before = max(place for place, (at, _) in enumerate(self._served) if at <= since)
        needs = self._needs(run)
        for _, served in self._served[last_before:]:
            yield served is None or needs in served

    def _needs(self, run: str) -> str:
        item = self._runs[run]
        return needed(item["workflow"], item.get("version", ""))
