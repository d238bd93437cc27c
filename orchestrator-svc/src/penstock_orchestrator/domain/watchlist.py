"""When to look at the run of each held token, and what to do about a grant that no runner takes up."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, assert_never

from penstock_orchestrator.domain.token import Token
from penstock_orchestrator.domain.verdicts import Ended, Executing, Returned, Unclaimed, Unclear, Verdict

LOOK_SECONDS = 1.0
"""Most runs are claimed within milliseconds, so that a younger grant is not worth a read."""
AUDIT_SECONDS = 10.0
"""A run in execution is read again this often, in case the hint of its end was lost."""
CLAIM_SECONDS = 5.0
UNCLAIMED_MAX = 3
"""A grant is sent again each time CLAIM_SECONDS have passed without a claim; this time it is taken back instead. One that no
runner serves is taken back the first time."""
LOOKS_MAX = 300
"""Runs read in one turn; the others are still due in the next."""

Step: TypeAlias = Literal["nothing", "report", "redispatch", "revoke", "check session"]


@dataclass(slots=True)
class _Entry:
    """Times are monotonic seconds. `session` None: not known to be claimed. `known`: the last turn after whose beginning its
    run was read, or else the one before it was watched."""

    token: Token
    since: float
    due: float
    known: int
    overdue: int = 0
    session: str | None = None


@dataclass(slots=True)
class Watchlist:
    _entries: dict[str, _Entry] = field(default_factory=dict)
    _turn: int = 0
    _dead_since: dict[str, int] = field(default_factory=dict)
    """Sessions, and the turn that first found them dead."""

    def follow(self, held: Mapping[str, Token], now: float) -> None:
        """Begins a turn. The tokens that are held now; a token that was granted anew is watched anew."""
        self._turn += 1
        known = self._entries
        self._entries = {
            key: entry
            if (entry := known.get(key)) is not None and entry.token.fence == token.fence
            else _Entry(token, now, now + LOOK_SECONDS, self._turn - 1)
            for key, token in held.items()
        }

    def due(self, now: float, dead: set[str]) -> list[Token]:
        """Whom to look at: the runs of dead runners, then the longest overdue first. Grants of unknown runners are due at
        once when a runner died."""
        found = [
            (0.0 if entry.session in dead else entry.due, key)
            for key, entry in self._entries.items()
            if entry.due <= now or (dead and (entry.session is None or entry.session in dead))
        ]
        return [self._entries[key].token for _, key in heapq.nsmallest(LOOKS_MAX, found)]

    def saw(self, token: Token, verdict: Verdict, now: float, *, anybody_lives: bool, is_served: bool = True) -> Step:
        """What follows from having looked. Without any runner a grant waits in the queue, and repeating it is useless."""
        entry = self._entries.get(token.key)
        if entry is None or entry.token.fence != token.fence:
            return "nothing"
        entry.due = now + LOOK_SECONDS
        entry.known = self._turn
        match verdict:
            case Ended() | Returned():
                return "report"
            case Executing(session):
                entry.session = session
                entry.due = now + AUDIT_SECONDS
                return "check session"
            case Unclear():
                entry.due = now + AUDIT_SECONDS
                return "nothing"
            case Unclaimed():
                if not anybody_lives:
                    entry.since, entry.overdue = now, 0
                return self._unclaimed(entry, now, UNCLAIMED_MAX if is_served else 1)
            case _:
                assert_never(verdict)

    def unnamed(self, dead: set[str]) -> set[str]:
        """Those of the sessions, found dead before the looks of this turn, that no watched run can name: each run was looked
        at since, whatever the number of turns that took, or is watched only since."""
        self._dead_since = {session: self._dead_since.get(session, self._turn) for session in dead}
        known = min((entry.known for entry in self._entries.values()), default=self._turn)
        named = {entry.session for entry in self._entries.values()}
        return {session for session, turn in self._dead_since.items() if turn <= known and session not in named}

    def look_again(self, tokens: Iterable[Token]) -> None:
        """What was to be done about them is not known to be done."""
        for token in tokens:
            if (entry := self._entries.get(token.key)) is not None:
                entry.due = 0.0

    @staticmethod
    def _unclaimed(entry: _Entry, now: float, most: int) -> Step:
        if now - entry.since < CLAIM_SECONDS * (entry.overdue + 1):
            return "nothing"
        entry.overdue += 1
        return "redispatch" if entry.overdue < most else "revoke"
