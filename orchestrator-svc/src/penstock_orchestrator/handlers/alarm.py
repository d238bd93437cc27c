"""Wakes the runs whose timers are due, and finds those that return and of which no hint has told."""

from __future__ import annotations

import logging

from penstock_backbone.ports import Clock, Tables
from penstock_backbone.records.runs import WAITING, RunItem, as_run, run_key
from penstock_backbone.records.times import to_ms
from penstock_backbone.records.verbs import wake
from penstock_backbone.records.waits import RETRY, RETURNS, TIMER, TIMES, first_timers, forget_timer, open_waits
from penstock_backbone.vocabulary import Item, Write
from penstock_orchestrator.handlers.records import DAMAGE, write_each

EVERY_SECONDS = 1.0
"""Between two looks at the timers, however often the sweep turns, unless more are due than one look reads."""

_log = logging.getLogger(__name__)


class Alarm:
    def __init__(self, tables: Tables, clock: Clock) -> None:
        self._tables = tables
        self._clock = clock
        self._looks_at = clock.monotonic()
        self._cursors: dict[str, str | None] = {TIMES: None, RETURNS: None}
        """Where the next look at each kind begins: behind a page after which more may be due, because what cannot be rung
        stays, and must not be all that is ever read. After the last such page it is the beginning again."""

    async def ring(self) -> set[str]:
        """The runs that return to the line. A timer goes once its run has its token, or does not wait for it any more, so
        that whoever dies in between leaves it to a later look. Reads and writes at most TIMERS_READ_MAX of each kind, and
        nothing before EVERY_SECONDS have passed since the last look, unless that left some."""
        if self._clock.monotonic() < self._looks_at:
            return set()
        self._looks_at = self._clock.monotonic() + EVERY_SECONDS
        now = to_ms(self._clock.now())
        returning: set[str] = set()
        for kind in self._cursors:
            returning |= await self._ring(kind, now)
        return returning

    async def _ring(self, kind: str, now: int) -> set[str]:
        page = await self._tables.query(first_timers(kind, self._cursors[kind]))
        due = [timer for timer in page.items if _is_due(timer, now)]
        self._cursors[kind] = None if page.items and _is_early(page.items[-1], now) else page.cursor
        if self._cursors[kind] is not None:
            self._looks_at = self._clock.monotonic()
        if not due:
            return set()
        items = await self._tables.get([run_key(name) for name in dict.fromkeys(timer["run"] for timer in due)])
        runs = {item["pk"]: as_run(item) for item in items if item is not None}
        wakes: list[Write] = []
        returning: set[str] = set()
        damaged: set[str] = set()
        for name, run in runs.items():
            try:
                if run["state"] == WAITING and run.get("due", now + 1) <= now:
                    wakes.append(wake(run, kind=_kind(run), at=now))
                    returning.add(name)
                elif "returning" in run:
                    returning.add(name)
            except DAMAGE as error:
                _log.error("The time of the run %s has come, and it cannot be read: %r", name, error)
                damaged.add(name)
        await write_each(self._tables, wakes)
        await write_each(
            self._tables, [forget_timer(timer) for timer in due if timer["run"] not in returning | damaged]
        )
        return returning


def _is_due(timer: Item, now: int) -> bool:
    due, run = timer.get("due"), timer.get("run")
    return type(due) is int and due <= now and type(run) is str and run != ""


def _is_early(timer: Item, now: int) -> bool:
    due = timer.get("due")
    return type(due) is int and due > now


def _kind(run: RunItem) -> str:
    """What is over now: a back-off, or anything else that had a time."""
    passed = [each.wait for each in open_waits(run, 0) if each.wait.get("until", run["due"] + 1) <= run["due"]]
    return RETRY if passed and all(wait["k"] == RETRY for wait in passed) else TIMER
