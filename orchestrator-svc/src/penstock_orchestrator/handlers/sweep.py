"""The sweep: finds what no hint tells of, which is dead runners, lost dispatches, lost hints, and timers that are due.

It fences a lost run off before it speaks of it: only then can the admission free the slot, because nothing that
the old runner still does can be committed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never

from penstock_backbone.inventory import DISPATCH_QUEUE
from penstock_backbone.ports import Clock, Queues, Tables
from penstock_backbone.records.runs import RunItem, as_run, fence_off, give_up, leave_to_hook, revoke, run_key
from penstock_backbone.records.sessions import expire_session, forget_session, is_dead, session_key
from penstock_backbone.records.times import to_ms
from penstock_backbone.records.verbs import pause_lost, stop_lost
from penstock_backbone.vocabulary import BATCH_ITEMS_MAX, Item, Key, Outcome, Refused, Unsettled, Write, Written
from penstock_backbone.words import counted
from penstock_orchestrator.domain.dispatch import dispatch
from penstock_orchestrator.domain.hints import Hints
from penstock_orchestrator.domain.leases import Leases
from penstock_orchestrator.domain.token import Token
from penstock_orchestrator.domain.verdicts import judge
from penstock_orchestrator.domain.watchlist import Watchlist
from penstock_orchestrator.handlers.alarm import Alarm
from penstock_orchestrator.handlers.fleet import Fleet
from penstock_orchestrator.handlers.records import DAMAGE, write_each
from penstock_orchestrator.handlers.shards import Shards

EVERY_SECONDS = 0.5
ATTEMPTS_MAX = 8
"""Times a run is begun before it is given up: a run that takes its runner down each time must not go on for ever."""
HOOK_ATTEMPTS_MAX = 3
"""Times it is begun again after that, where its workflow has a hook that wants to hear of it."""
LOST = "its runner was lost"
LOST_TOO_OFTEN = "its runner was lost too often: only its on_failure is still called"

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Findings:
    """What one turn has found out about the runs it read."""

    report: set[str] = field(default_factory=set)
    executing: list[tuple[Token, RunItem]] = field(default_factory=list)
    redispatch: list[Token] = field(default_factory=list)
    revoke: list[Token] = field(default_factory=list)


class Sweep:
    def __init__(self, tables: Tables, queues: Queues, shards: Shards, fleet: Fleet, clock: Clock) -> None:
        self._tables = tables
        self._queues = queues
        self._shards = shards
        self._fleet = fleet
        self._clock = clock
        self._leases = Leases()
        self._watchlist = Watchlist()
        self._alarm = Alarm(tables, clock)

    async def turn(self) -> Hints:
        """What the admission should look at now: runs, and whether runners serve something else than before. Bounded reads;
        what is left over is due in the next turn."""
        sessions, dead = await self._sessions()
        alive = sessions - dead
        now = self._clock.monotonic()
        watches_all = self._shards.are_current
        self._watchlist.follow(self._shards.held, now)
        due = self._watchlist.due(now, dead)
        found = await self._look(due, anybody_lives=bool(alive))
        lost = await self._lost(found.executing, alive, dead)
        reported = found.report | await self._fence_off(lost) | await self._revoke(found.revoke)
        await self._redispatch(found.redispatch)
        if watches_all:
            await self._forget(self._watchlist.unnamed(dead))
        returning = await self._alarm.ring()
        changed, self._fleet.has_changed = self._fleet.has_changed, False
        return Hints(runs=reported, returning=returning, runners=changed)

    async def _sessions(self) -> tuple[set[str], set[str]]:
        """All of them, and those that are dead, the ones that died of an expired lease just now included.

        A heartbeat stood still from the answer that first showed it until the question that last did.
        """
        asked = self._clock.monotonic()
        sessions = await self._fleet.swept()
        answered = self._clock.monotonic()
        dead = {session["sk"] for session in sessions if is_dead(session)}
        beats = {each["sk"]: each["hb"] for each in sessions if not is_dead(each) and type(each.get("hb")) is int}
        for name, beat in beats.items():
            self._leases.observe(name, beat, answered)
        self._leases.forget_all_but(beats)
        expired = [name for name in beats if self._leases.has_expired(name, asked)]
        outcomes = await write_each(self._tables, [expire_session(name, hb=beats[name]) for name in expired])
        for name, outcome in zip(expired, outcomes, strict=True):
            if isinstance(outcome, Written) or (isinstance(outcome, Refused) and is_dead(outcome.item)):
                _log.warning("The runner %s has not been heard for its lease: its runs go to others", name)
                dead.add(name)
        return {session["sk"] for session in sessions}, dead

    async def _look(self, tokens: Sequence[Token], *, anybody_lives: bool) -> _Findings:
        found = _Findings()
        runs = await self._get([run_key(token.run) for token in tokens])
        now = self._clock.monotonic()
        for token, item in zip(tokens, runs, strict=True):
            run = None if item is None else as_run(item)
            verdict = judge(token.fence, run)
            is_served = self._fleet.is_served(token)
            step = self._watchlist.saw(token, verdict, now, anybody_lives=anybody_lives, is_served=is_served)
            match step:
                case "nothing":
                    pass
                case "report":
                    found.report.add(token.run)
                case "redispatch":
                    found.redispatch.append(token)
                case "revoke":
                    found.revoke.append(token)
                case "check session":
                    assert run is not None
                    found.executing.append((token, run))
                case _:
                    assert_never(step)
        return found

    async def _lost(
        self, executing: Sequence[tuple[Token, RunItem]], alive: set[str], dead: set[str]
    ) -> list[tuple[Token, RunItem]]:
        """Those whose session is dead. One that was not listed may have begun since, so it is asked for by name."""
        unlisted = sorted({session for _, run in executing if (session := _session(run)) not in alive | dead})
        items = await self._get([session_key(session) for session in unlisted])
        gone = {session for session, item in zip(unlisted, items, strict=True) if is_dead(item)}
        return [(token, run) for token, run in executing if _session(run) in dead | gone]

    async def _fence_off(self, lost: Sequence[tuple[Token, RunItem]]) -> set[str]:
        """A run that cannot be read stays as it is, and holds nobody else up."""
        at = to_ms(self._clock.now())
        tokens: list[Token] = []
        writes: list[Write] = []
        for token, run in lost:
            try:
                writes.append(_ended_or_returned(run, at))
            except DAMAGE as error:
                _log.error("The run %s cannot be taken from its lost runner: %r", token.run, error)
            else:
                tokens.append(token)
        outcomes = await write_each(self._tables, writes)
        for token, outcome in zip(tokens, outcomes, strict=True):
            if isinstance(outcome, Written):
                _log.warning("The run %s was taken from its lost runner", token.run)
        return self._settled(tokens, outcomes)

    async def _revoke(self, tokens: Sequence[Token]) -> set[str]:
        outcomes = await write_each(self._tables, [revoke(token.run, fence=token.fence) for token in tokens])
        return self._settled(tokens, outcomes)

    def _settled(self, tokens: Sequence[Token], outcomes: Sequence[Outcome]) -> set[str]:
        """Their runs have changed, by us or by somebody who was faster. The others are looked at again."""
        done = {
            token.run for token, outcome in zip(tokens, outcomes, strict=True) if not isinstance(outcome, Unsettled)
        }
        self._watchlist.look_again(token for token in tokens if token.run not in done)
        return done

    async def _redispatch(self, tokens: Sequence[Token]) -> None:
        """A refusal needs no answer: the grant stays overdue."""
        messages = [
            dispatch(run=token.run, fence=token.fence, token=token.key, tenant=token.tenant, project=token.project)
            for token in tokens
        ]
        for start in range(0, len(messages), BATCH_ITEMS_MAX):
            await self._queues.send(DISPATCH_QUEUE, messages[start : start + BATCH_ITEMS_MAX])

    async def _forget(self, sessions: set[str]) -> None:
        await write_each(self._tables, [forget_session(session) for session in sorted(sessions)])

    async def _get(self, keys: Sequence[Key]) -> list[Item | None]:
        items: list[Item | None] = []
        for start in range(0, len(keys), BATCH_ITEMS_MAX):
            items += await self._tables.get(keys[start : start + BATCH_ITEMS_MAX])
        return items


def _session(run: RunItem) -> str:
    return run.get("session", "")


def _ended_or_returned(run: RunItem, at: int) -> Write:
    if "cancel" in run:
        return stop_lost(run, at=at)
    if "pause" in run:
        return pause_lost(run, at=at)
    if run["attempt"] < ATTEMPTS_MAX:
        return fence_off(run, reason=LOST, at=at)
    last, why = run.get("given_up") or (
        run["attempt"],
        f"It was begun {run['attempt']} times, and each time its runner was lost.",
    )
    hook_attempts = run["attempt"] - last
    if "hooked" in run and hook_attempts < HOOK_ATTEMPTS_MAX:
        return leave_to_hook(run, given_up=[last, why], reason=LOST_TOO_OFTEN, at=at)
    if hook_attempts:
        begun = counted(hook_attempts, "time")
        why += f" It was begun {begun} more to call its on_failure, and its runner was lost again."
    return give_up(run, message=why, at=at)
