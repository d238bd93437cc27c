"""Between the processes and the one engine: every port call travels, takes time, and may meet the fault that waits for it.

A request and its answer are events of the world, not of the process that asked: when that is killed or frozen
the request still arrives, and when it gave up long ago the write still lands.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, TypeVar

from tests.simulation.loop import SimulationLoop
from tests.simulation.machine import Process, stream_of
from tests.simulation.plan import API, ARMED_SECONDS, DECISION, EVERYTHING, ONLY_WRITES, WRITES, Fault
from tests.simulation.sightings import LATE, WOKEN, Sightings
from tests.simulation.trace import Trace
from tests.simulation.violations import demand

from penstock_backbone.errors import BackboneError, Retryable
from penstock_backbone.inventory import LIMITS_PK
from penstock_backbone.memory import MemoryEngine
from penstock_backbone.records.sessions import SESSIONS_PK
from penstock_backbone.vocabulary import Unsettled, Write

Answer = TypeVar("Answer")

LIMITS_QUERY = f"tables.query {LIMITS_PK}"
LIMITS_AGE = "when limits were read, in seconds awake"
SESSIONS_QUERY = f"tables.query {SESSIONS_PK}"
SESSIONS_READ = (SESSIONS_QUERY, "the reading of sessions before that", "and the one before")
"""An answer that has arrived may still lie there when another task decides, and two may be on their way at once."""


def waits(token: str) -> str:
    """The view of who decides that this token waits, whenever he has learned it."""
    return f"{token} waits"


NOTHING_SEEN: Mapping[str, float] = {}
TIMEOUT_SECONDS = 1.0
"""After this a client gives a call up; the sdk's own repetitions are part of it."""
CHANGES = (*WRITES, "bus.publish", "queues.send", "queues.delete", "queues.extend", "streams.settle", "blobs.put")
"""The calls that leave something behind, for the mode that dies of each of them."""
COUNTED_LATER = frozenset({"late write", "part of a batch refused", "killed after a write"})
"""Faults of calls that have their effect when the request arrives, if then."""
THROTTLED = "the table is throttled"
CONFLICT = "another transaction is in progress"
GONE = "no answer came"


@lru_cache(maxsize=1000)
def is_change(name: str) -> bool:
    return name.startswith(CHANGES)


def at_once(call: Coroutine[Any, Any, Answer]) -> Answer:
    """The memory engine never really waits, except where it is asked to."""
    try:
        call.send(None)
    except StopIteration as done:
        answer: Answer = done.value
        return answer
    raise AssertionError("a call of the memory engine waited")


class Call:
    """`apply` does it on the engine, `writes` are what it writes there. `refuse` is what stands for "not applied, try again" where that is a value;
    `halve` does a part of a batch, chosen by the number it is given. `how` it comes: LATE, WOKEN, or as it should."""

    __slots__ = ("answer", "apply", "halve", "how", "name", "process", "refuse", "views", "writes")

    def __init__(
        self,
        process: Process,
        name: str,
        apply: Callable[[], Any],
        answer: asyncio.Future[Any],
        refuse: Callable[[str], Any] | None,
        halve: Callable[[int], Any] | None,
        views: Mapping[str, float],
        writes: Sequence[Write],
    ) -> None:
        self.writes = writes
        self.how = ""
        self.process = process
        self.name = name
        self.apply = apply
        self.answer = answer
        self.refuse = refuse
        self.halve = halve
        self.views = views


@dataclass(slots=True)
class Spell:
    """What is wrong for a while: it has happened once it has `hit` somebody. `target` "" for everybody."""

    kind: str
    until: float
    target: str = ""
    of_sessions: bool = False
    hit: bool = False


def seen_before(call: Call) -> float:
    """A decision was made on sessions that were read at that moment, or later."""
    return call.views.get(SESSIONS_READ[-1], 0.0)


def _is_refused_in_part(value: Any) -> bool:
    """What the engine, or a part of a batch that was left out, has answered."""
    answers = value[1] if isinstance(value, tuple) else value
    return isinstance(answers, list) and any(isinstance(answer, Unsettled | str) for answer in answers)


class Network:
    """`caller` is whose call is being applied, while one is. `batches`: the numbers of those writes that can be done in part."""

    def __init__(
        self,
        loop: SimulationLoop,
        engine: MemoryEngine,
        sightings: Sightings,
        trace: Trace,
        *,
        seed: int,
        latency: float,
    ) -> None:
        self.loop = loop
        self.engine = engine
        self.sightings = sightings
        self.trace = trace
        self.caller: Call | None = None
        self.under_way = 0
        self.writes = 0
        self.batches: list[int] = []
        self.crash_after = 0
        self.crash_partly = False
        self.on_crash: Callable[[Process, float], None] = lambda _process, _seconds: None
        self._latency = latency
        self._armed: dict[str, list[Fault]] = {}
        self._outages: list[Spell] = []
        self._chance = stream_of(seed, "network")
        self.world = contextvars.Context()

    # --- faults -------------------------------------------------------------------------------------

    def arm(self, fault: Fault) -> None:
        self._armed.setdefault(fault.target, []).append(fault)

    def disarm_all(self) -> None:
        self._armed.clear()
        self._outages.clear()

    def cut_off(self, kind: str, seconds: float, *, target: str = "", of_sessions: bool = False) -> None:
        """`of_sessions`: heartbeats alone fail, because the table of the sessions is throttled."""
        self._outages.append(Spell(kind, self.loop.now + seconds, target, of_sessions))

    def is_hit(self, spell: Spell | None) -> bool:
        """Somebody is in its way now: he is hit while it lasts."""
        if spell is None or self.loop.now >= spell.until:
            return False
        if not spell.hit:
            spell.hit = True
            self.happens(spell.kind, spell.target or EVERYTHING)
        return True

    def happens(self, kind: str, who: str, words: str = "") -> None:
        """Only now, where it had to wait for somebody."""
        self.sightings.note(kind)
        self.trace.note(self.loop.now, who, f"FAULT {kind}{words}")

    def strike(self, target: str, call: str) -> Fault | None:
        """The fault that waits for this call, if there is one. Whoever plays it counts it, as soon as it has an effect."""
        armed = self._armed.get(target)
        if not armed:
            return None
        now = self.loop.now
        if now - armed[0].at > ARMED_SECONDS:
            # Armed in the order of their times: those that have waited for too long are forgotten.
            armed[:] = [fault for fault in armed if now - fault.at <= ARMED_SECONDS]
        for place, fault in enumerate(armed):
            if call.startswith(fault.call) and (fault.kind not in ONLY_WRITES or call.startswith(WRITES)):
                del armed[place]
                self.trace.note(now, target, f"FAULT {fault.kind} at {call}")
                return fault
        return None

    def _is_cut_off(self, process: Process, call: str, *, of_session: bool) -> bool:
        for outage in self._outages:
            theirs = outage.target in ("", process.name) and (of_session or not outage.of_sessions)
            if theirs and self.is_hit(outage):
                if not (outage.target or outage.of_sessions):
                    self.sightings.away(call)
                return True
        return False

    # --- calls --------------------------------------------------------------------------------------

    def later(self, seconds: float, action: Callable[..., object], *arguments: Any) -> None:
        self.loop.happen(self.loop.now + seconds, None, action, *arguments)

    def call(
        self,
        process: Process,
        name: str,
        apply: Callable[[], Any],
        *,
        refuse: Callable[[str], Any] | None = None,
        halve: Callable[[int], Any] | None = None,
        of_session: bool = False,
        views: Mapping[str, float] = NOTHING_SEEN,
        writes: Sequence[Write] = (),
    ) -> asyncio.Future[Any]:
        """`views`: what the process had seen of what it has decided now."""
        loop = self.loop
        answer = loop.create_answer()
        call = Call(process, name, apply, answer, refuse, halve, views, writes)
        if self._outages and self._is_cut_off(process, name, of_session=of_session):
            self.later(self.way(process), self._fail, call, GONE)
            return answer
        fault = self.strike(process.name, name) if self._armed else None
        if fault is None:
            loop.happen(loop.now + self.way(process), None, self._arrive, call)
        else:
            self._spoil(call, fault)
        return answer

    def way(self, process: Process) -> float:
        return self._latency * (0.1 + process.network())

    def _spoil(self, call: Call, fault: Fault) -> None:
        process = call.process
        if fault.kind not in COUNTED_LATER:
            self.sightings.note(fault.kind)
        match fault.kind:
            case "request lost":
                self.later(TIMEOUT_SECONDS, self._fail, call, GONE)
            case "response lost":
                self._perhaps_in_part(call, fault.amount)
                self.later(self.way(process), self._apply, call, None)
                self.later(TIMEOUT_SECONDS, self._fail, call, GONE)
            case "late write":
                self._perhaps_in_part(call, fault.amount)
                self.later(TIMEOUT_SECONDS, self._fail, call, GONE)
                self.under_way += 1
                self.later(TIMEOUT_SECONDS + fault.seconds, self._land, call)
            case "throttled" | "conflict":
                self.later(self.way(process), self._fail, call, THROTTLED if fault.kind == "throttled" else CONFLICT)
            case "part of a batch refused":
                self.later(self.way(process), self._arrive_in_part, call, fault.amount)
            case "slow answer":
                self.later(self.way(process), self._arrive, call, min(fault.seconds, 6.0))
            case "slow request":
                self.later(fault.seconds, self._arrive, call)
            case "frozen between check and write":
                process.freeze(fault.seconds)
                process.when_awake(partial(self.later, self.way(process), self._arrive_if_alive, call))
            case "killed before a write":
                self.sightings.lost(process.name, call.writes)
                self.on_crash(process, fault.seconds)
            case "killed after a write":
                self._perhaps_in_part(call, fault.amount)
                self.later(self.way(process), self._arrive_and_kill, call, fault.seconds)
            case _:
                raise AssertionError(fault)

    def _arrive(self, call: Call, slowed: float = 0.0) -> None:
        self._apply(call, self.way(call.process) + slowed)

    def _perhaps_in_part(self, call: Call, amount: int) -> None:
        if amount % 2:
            self._in_part(call, amount)

    @staticmethod
    def _in_part(call: Call, amount: int) -> None:
        """A batch is not atomic: of an unknown outcome any part may have been applied."""
        halve = call.halve
        if halve is not None:
            call.apply = lambda: halve(amount)

    def _arrive_in_part(self, call: Call, amount: int) -> None:
        self._in_part(call, amount)
        if _is_refused_in_part(self._apply(call, self.way(call.process))):
            self.sightings.note("part of a batch refused")

    def _arrive_if_alive(self, call: Call) -> None:
        """What a frozen process had not sent yet dies with it."""
        if not call.process.gone:
            call.how = WOKEN
            self._arrive(call)

    def _arrive_and_kill(self, call: Call, seconds: float) -> None:
        value = self._apply(call, None)
        if call.process.gone:
            return
        self.sightings.note("killed after a write")
        if call.name == DECISION and _is_refused_in_part(value):
            self.sightings.note("an orchestrator died before all that it had decided was done (31)")
        if call.process.name == API:
            self.sightings.note("the API died after a write (4)")
        self.on_crash(call.process, seconds)

    def _land(self, call: Call) -> None:
        self.under_way -= 1
        call.how = LATE
        self.sightings.note("late write")
        self._apply(call, None)

    def _apply(self, call: Call, back: float | None) -> Any:
        """What the engine answered. `back` None: nobody hears of it."""
        counted = is_change(call.name)
        if counted:
            self.writes += 1
            if call.halve is not None:
                self.batches.append(self.writes)
            if self.writes == self.crash_after and self.crash_partly:
                self._in_part(call, self.writes)
        self.caller = call
        seen = self.loop.now
        error: BackboneError | None = None
        value: Any = None
        try:
            value = call.apply()
        except BackboneError as caught:
            error = caught
        finally:
            self.caller = None
        self.trace.call(seen, call.process.name, call.name, error or value)
        expected = error is None or isinstance(error, Retryable)
        demand(expected, "log", f"{call.process.name} makes a call that no repetition helps, {call.name}: {error!r}")
        if counted and self.writes == self.crash_after:
            if not call.process.gone:
                self.sightings.note("killed after a write")
            self.on_crash(call.process, 1.0)
        elif back is not None:
            self.loop.happen(seen + back, None, self._answer, call, value, error, seen)
        return value

    def _answer(self, call: Call, value: Any, error: BackboneError | None, seen: float) -> None:
        answer, process = call.answer, call.process
        if answer.done() or process.gone:
            return
        views = process.views
        if call.name == SESSIONS_QUERY and error is None:
            for newer, older in zip(SESSIONS_READ[-2::-1], SESSIONS_READ[:0:-1], strict=True):
                views[older] = views.get(newer, 0.0)
        views[call.name] = seen
        if call.name == LIMITS_QUERY:
            process.views[LIMITS_AGE] = process.awake_seconds()
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(value)

    def _fail(self, call: Call, reason: str) -> None:
        if call.answer.done() or call.process.gone:
            return
        if call.refuse is not None and self._chance.random() < 0.5:
            call.answer.set_result(call.refuse(reason))
        else:
            call.answer.set_exception(Retryable(reason))
