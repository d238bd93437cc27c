"""Looks at the runners of some runs that hold slots, and remembers their heartbeats until the next look."""

from __future__ import annotations

from collections.abc import Sequence

from penstock_api.domain.leases import Beat, Lease, Silent, judge, seen
from penstock_backbone.ports import Clock, Tables
from penstock_backbone.records.runs import RUNNING, run_key
from penstock_backbone.records.sessions import is_dead, session_key
from penstock_backbone.vocabulary import Item

BEATS_MAX = 2_000
"""Of sessions, those looked at last."""


class Leases:
    def __init__(self, tables: Tables, clock: Clock) -> None:
        self._tables = tables
        self._clock = clock
        self._beats: dict[str, Beat] = {}

    async def of(self, runs: Sequence[str]) -> dict[str, Lease]:
        """Of at most as many runs as one read may have; two reads. One that no runner executes has no lease to end."""
        if not runs:
            return {}
        items = await self._tables.get([run_key(run) for run in runs])
        sessions = {
            run: item["session"]
            for run, item in zip(runs, items, strict=True)
            if item is not None and item["state"] == RUNNING
        }
        names = list(dict.fromkeys(sessions.values()))
        found = await self._tables.get([session_key(name) for name in names]) if names else []
        now = self._clock.monotonic()
        leases = {name: self._look(name, item, now) for name, item in zip(names, found, strict=True)}
        return {run: leases[sessions[run]] if run in sessions else "heard" for run in runs}

    def _look(self, session: str, item: Item | None, now: float) -> Lease:
        known = self._beats.pop(session, None)
        if item is None or is_dead(item):
            return Silent(None)
        beat = self._beats[session] = seen(known, item["hb"], now)
        if len(self._beats) > BEATS_MAX:
            del self._beats[next(iter(self._beats))]
        return judge(beat, now)
