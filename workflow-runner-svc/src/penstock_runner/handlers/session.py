"""The lease of this process: a session item that it beats, and that it gives up by itself when it is not heard."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol, assert_never

from penstock_backbone.errors import BackboneError
from penstock_backbone.records import sessions
from penstock_backbone.records.sessions import HEARTBEAT_SECONDS, SELF_FENCE_SECONDS
from penstock_backbone.records.times import to_ms
from penstock_backbone.vocabulary import Item, Outcome, Refused, Unsettled, Write, Written
from penstock_runner.ports import World

HEARTBEAT_REPEAT_SECONDS = 0.5
"""After a beat whose outcome is unknown."""
HEARTBEAT_JITTER = 0.2
"""Up to this part of the interval is taken away, so that runners that started together spread out."""

_log = logging.getLogger(__name__)


class Stoppable(Protocol):
    """Work under a session: it may not go on without it."""

    def stop(self) -> None: ...


class Session:
    """One lease. Once fenced it stays so: a beat that gets through later does not bring it back (fault 54)."""

    def __init__(self, identifier: str, heard_at: float) -> None:
        self.id = identifier
        self.heard_at = heard_at
        self.beats = 0
        self.fenced = False
        self.work: dict[tuple[str, int], Stoppable] = {}

    def is_over(self, now: float) -> bool:
        """`now` is monotonic. Asked before each write, because a process may have been frozen since the last turn
        of the watchdog."""
        if not self.fenced and now - self.heard_at >= SELF_FENCE_SECONDS:
            self.fence(f"it was not heard for {SELF_FENCE_SECONDS:.0f} s")
        return self.fenced

    def fence(self, reason: str) -> None:
        """Everything that runs under this session stops."""
        if self.fenced:
            return
        self.fenced = True
        level = logging.WARNING if self.work else logging.INFO
        _log.log(level, "Session %s ends with %d runs: %s.", self.id, len(self.work), reason)
        for work in list(self.work.values()):
            work.stop()


class Heartbeat:
    """Opens this process's session, beats it, and opens a new one when it is lost."""

    def __init__(self, world: World, *, capacity: int, serves: Sequence[str], first_session: str | None) -> None:
        self._world = world
        self._capacity = capacity
        self._serves = serves
        self._next_id = first_session
        self._asked_at: float | None = None
        self._abandoned: list[Session] = []
        self.session: Session | None = None
        self.draining = False

    def live_session(self) -> Session | None:
        """The session under which runs may be claimed now."""
        session = self.session
        if session is None or self.draining or session.is_over(self._world.clock.monotonic()):
            return None
        return session

    async def turn(self) -> float:
        """One beat, or one attempt to open a session. Returns the seconds until the next turn."""
        await self._bury_abandoned()
        session = self.session
        if session is None or session.fenced:
            return await self._open()
        sent = self._world.clock.monotonic()
        session.beats += 1
        outcome = await self._write(sessions.beat(session.id, hb=session.beats))
        match outcome:
            case Written():
                session.heard_at = sent
                return HEARTBEAT_SECONDS * (1 - HEARTBEAT_JITTER * self._world.chance.random())
            case Refused():
                session.fence("it was declared dead")
                return 0.0
            case Unsettled():
                return HEARTBEAT_REPEAT_SECONDS
            case _:
                assert_never(outcome)

    async def drain(self) -> None:
        """No more runs are wanted. Best effort: it only tells people what this process is doing."""
        self.draining = True
        if self.session is not None and not self.session.fenced:
            await self._write(sessions.drain_session(self.session.id))

    async def bury(self) -> None:
        """The process ends and nothing runs any more: its runs may begin elsewhere at once. When this cannot be
        written the lease expires by itself."""
        if self.session is not None:
            self.session.fence("the process ends")
            await self._bury(self.session)

    async def _bury_abandoned(self) -> None:
        """A session that was fenced, once nothing runs under it any more: its runs need not wait for the lease."""
        ended = [session for session in self._abandoned if not session.work]
        self._abandoned = [session for session in self._abandoned if session.work]
        for session in ended:
            await self._bury(session)

    async def _bury(self, session: Session) -> None:
        await self._write(sessions.bury_session(session.id), sessions.tell_of_burial(session.id))

    async def _open(self) -> float:
        """Returns the seconds until the first beat, or the next attempt. The session counts as heard when it was
        first asked for: a lost answer may have been a yes, and then its lease runs from there."""
        if self.draining:
            return HEARTBEAT_REPEAT_SECONDS
        now = self._world.clock.monotonic()
        identifier, asked_at = self._id_to_open(now)
        at = to_ms(self._world.clock.now())
        opening = sessions.open_session(identifier, capacity=self._capacity, at=at, serves=self._serves)
        outcome = await self._write(opening)
        if isinstance(outcome, Unsettled):
            return HEARTBEAT_REPEAT_SECONDS
        self._next_id = self._asked_at = None
        if isinstance(outcome, Refused) and not _is_fresh(outcome.item):
            _log.warning("Session %s is taken, so this process takes an id of its own.", identifier)
            return HEARTBEAT_REPEAT_SECONDS
        if self.session is not None:
            self._abandoned.append(self.session)
        self.session = Session(identifier, asked_at)
        _log.info("Session %s is open.", identifier)
        await self._bury_abandoned()
        return max(0.0, HEARTBEAT_SECONDS - (now - asked_at))

    def _id_to_open(self, now: float) -> tuple[str, float]:
        """And since when it is asked for. After so long without an answer it may have lived, expired and been
        forgotten, and must not live again: who judges leases would take the new one for the old."""
        if self._asked_at is not None and now - self._asked_at >= SELF_FENCE_SECONDS:
            self._next_id = self._asked_at = None
        if self._next_id is None:
            self._next_id = self._world.ids.new("ses")
        if self._asked_at is None:
            self._asked_at = now
        return self._next_id, self._asked_at

    async def _write(self, write: Write, *hints: Write) -> Outcome:
        """Any failure is an unknown outcome: the lease judges this process by what got through."""
        try:
            outcome, *_ = await self._world.tables.write([write, *hints])
        except BackboneError as error:
            _log.warning("The session could not be written: %s", error)
            return Unsettled(str(error))
        return outcome


def _is_fresh(item: Item | None) -> bool:
    """An open that was refused by its own earlier success."""
    return item is not None and item["st"] == sessions.LIVE and item["hb"] == 0
