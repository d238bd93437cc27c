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
    """Times are monotonic seconds. `session` None: not known to be claimed."""

    token: Token
    since: float
    due: float
    overdue: int = 0
    session: str | None = None


@dataclass(slots=True)
class Watchlist:
    _entries: dict[str, _Entry] = field(default_factory=dict)

    def follow(self, held: Mapping[str, Token], now: float) -> None:
        """The tokens that are held now; a token that was granted anew is watched anew."""
        known = self._entries
        self._entries = {
            key: entry
            if (entry := known.get(key)) is not None and entry.token.fence == token.fence
            else _Entry(token, now, now + LOOK_SECONDS)
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

    def sessions(self) -> set[str]:
        """Those that the watched runs are known to be executed by."""
        return {entry.session for entry in self._entries.values() if entry.session is not None}

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
