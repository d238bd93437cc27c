"""One seeded world: an API, two orchestrators and three runners, each put together by its own bootstrap."""

from __future__ import annotations

import asyncio
import gc
import logging
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tests.limits import set_limit
from tests.simulation.brokers import QueueBroker, StreamBroker
from tests.simulation.checks import Checks
from tests.simulation.complaints import Complaints
from tests.simulation.loop import SimulationLoop, Stuck
from tests.simulation.machine import LocalClock, NumberedIds, Process, stream_of
from tests.simulation.network import Network, at_once
from tests.simulation.patches import Patches, fit
from tests.simulation.plan import (
    API,
    CALL_FAULTS,
    ORCHESTRATORS,
    QUEUE_FAULTS,
    RELEASED,
    RELEASES,
    RUNNERS,
    SLOW_REQUEST,
    STREAM_FAULTS,
    Fault,
    Plan,
    pauses,
    share_of,
)
from tests.simulation.ports import SimulatedEngine
from tests.simulation.sightings import Sightings
from tests.simulation.trace import Trace
from tests.simulation.users import Users
from tests.simulation.violations import Violation
from tests.simulation.work import SimulatedWorkers
from tests.simulation.workload import SCOPES, VERSIONS, registry

from penstock_api.bootstrap import parts_on
from penstock_backbone.errors import Retryable
from penstock_backbone.inventory import DISPATCH_QUEUE
from penstock_backbone.memory import MemoryEngine
from penstock_backbone.records.limits import FLEET, SHARDS
from penstock_backbone.records.sessions import bury_session
from penstock_backbone.telemetry import silent
from penstock_backbone.vocabulary import Item, Key, Put, Write
from penstock_orchestrator.bootstrap import Parts, Surroundings, direct_host
from penstock_orchestrator.domain.hints import Hints
from penstock_runner.bootstrap import Surroundings as RunnerSurroundings
from penstock_runner.bootstrap import runner_on
from penstock_runner.handlers.runner import Runner

STEPS_MAX = 600_000
DRAIN_SECONDS_MAX = 150.0
LOOK_SECONDS = 0.5
RUNNER_CAPACITY = 4
RESTART_SECONDS = 1.0
OPEN_LIMIT = 100
UNSAID: Item = {"limit": OPEN_LIMIT, "weight": 1, "min_share": 0}
"""Of a scope."""
DRIFT_RATES = (0.82, 0.9, 1.1, 1.22)
SERVICES = ("penstock_orchestrator", "penstock_runner", "penstock_api", "penstock_backbone")


@dataclass(slots=True)
class Result:
    """`violation` None: every rule held, and everything ended."""

    plan: Plan
    violation: str | None
    fingerprint: str
    virtual_seconds: float
    steps: int
    grants: int
    runs: int
    writes: int
    commits: int
    sightings: Sightings
    lines: list[str] = field(default_factory=list)


class World:
    def __init__(self, plan: Plan, *, verbose: bool = False) -> None:
        self._plan = plan
        self.loop = SimulationLoop(stream_of(plan.seed, "schedule") if plan.shuffled else None, steps_max=STEPS_MAX)
        self.trace = Trace(verbose=verbose)
        self.sightings = Sightings()
        clock = LocalClock(self.loop)
        self.engine = MemoryEngine(clock, NumberedIds(clock, 0))
        self.network = Network(self.loop, self.engine, self.sightings, self.trace, seed=plan.seed, latency=plan.latency)
        self.network.crash_after, self.network.crash_partly = plan.crash_after, plan.crash_partly
        self.network.on_crash = self._crash
        self.queues = QueueBroker(self.network, plan.seed)
        self.streams = StreamBroker(self.network)
        self.processes: dict[str, Process] = {}
        self.checks = Checks(self.network, self.processes, plan)
        self.checks.watch(self.engine, self.streams)
        self.queues.on_dispatch = self.checks.dispatched
        self.users = Users(plan, self.loop, self.processes, self.sightings, self.checks.rests_for_good)
        self._lived: list[Process] = []
        self._fleet, self._yields, self._paused = plan.fleet, False, False
        self._limits = dict.fromkeys(SCOPES, OPEN_LIMIT)
        self._names = (API, *ORCHESTRATORS, *RUNNERS[: plan.runners])
        self._serves: dict[str, tuple[str, ...]] = dict.fromkeys(RUNNERS, VERSIONS[:1])
        self._served = dict(self._serves)

    # --- a whole seed ---------------------------------------------------------------------------------

    def run(self) -> Result:
        complaints = Complaints(self.loop)
        patches = Patches()
        fit(patches, self._plan)
        loggers = [logging.getLogger(name) for name in SERVICES]
        before = [(logger.level, logger.propagate) for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.WARNING)
            logger.propagate = False
            logger.addHandler(complaints)
        collecting = gc.isenabled()
        gc.disable()
        violation: str | None = None
        try:
            self.loop.run(self._story())
        except (Violation, Stuck) as error:
            violation = str(error)
        finally:
            patches.undo()
            for process in self._lived:
                process.bury()
            if collecting:
                gc.enable()
            for logger, (level, propagate) in zip(loggers, before, strict=True):
                logger.removeHandler(complaints)
                logger.setLevel(level)
                logger.propagate = propagate
        return self._result(violation)

    def _result(self, violation: str | None) -> Result:
        fingerprint = self.trace.fingerprint(self.loop.steps, self.checks.ledger.grants, violation)
        return Result(
            self._plan, violation, fingerprint, self.loop.now, self.loop.steps, self.checks.ledger.grants,
            len(self.checks.stories.runs), self.network.writes, self.checks.commits, self.sightings,
            self.trace.lines() if violation else [],
        )  # fmt: skip

    async def _story(self) -> None:
        self._operate(set_limit(FLEET, limit=self._plan.fleet, at=0))
        for name in self._names:
            self._start(name)
        for fault in self._plan.faults:
            self.network.later(fault.at, self._begin, fault)
        users = self.loop.create_task(self.users.all())
        await self._sleep(self._plan.fault_seconds)
        self._faults_stop()
        await self._drained(users)
        for process in self._lived:
            process.demand_heard()
        self.checks.at_the_end(self.queues)
        self.users.at_the_end(self.checks.projects, self.checks.stories.runs)

    async def _drained(self, users: asyncio.Task[None]) -> None:
        end = self.loop.now + DRAIN_SECONDS_MAX
        while True:
            await self._sleep(LOOK_SECONDS)
            if users.done():
                users.result()
            left = ["users wait"] if not users.done() or self.network.under_way else []
            left = left or self.checks.unfinished(self.queues, self.streams)
            if not left:
                return
            if self.loop.now >= end:
                raise Violation("I11", f"{DRAIN_SECONDS_MAX:.0f} s after the last fault: {'; '.join(left[:6])}")

    async def _sleep(self, seconds: float) -> None:
        done = self.loop.create_future()
        self.loop.call_later(seconds, done.set_result, None)
        await done

    def _faults_stop(self) -> None:
        self.trace.note(self.loop.now, "world", "FAULTS STOP")
        self.checks.faults_have_stopped = True
        self.network.disarm_all()
        self.queues.mend()
        if any(fault.kind == RELEASED for fault in self._plan.faults):
            self._release(RUNNERS[0], VERSIONS)
        for name in self._names:
            process = self.processes[name]
            if process.gone:
                self._restart(name, process.life)
                continue
            process.clock.run_at(1.0)
            process.clock.wrong_by = timedelta()
            process.thaw()
        at = round(self.loop.now * 1000)
        limits = [set_limit(FLEET, limit=self._plan.fleet, at=at, yields=self._yields)]
        kept = self._limits if self._plan.keeps_limits else {}
        limits += [set_limit(scope, limit=kept.get(scope) or OPEN_LIMIT, at=at) for scope in SCOPES]
        self._operate(*limits)

    def _operate(self, *writes: Write) -> bool:
        """An operator's or supervisor's word: it is not what is tested here, so it always arrives. False: it was so already."""
        before = [self._standing(write.key) for write in writes]
        at_once(self.engine.tables.write(writes))
        return before != [self._standing(write.key) for write in writes]

    def _standing(self, key: Key) -> Item:
        """Whenever it was said."""
        return UNSAID | (self.engine.storage.read(key) or {}) | {"at": 0, "pk": key.pk, "sk": key.sk}

    def _limit(self, fault: Fault) -> bool:
        at = round(self.loop.now * 1000)
        paused = fault.kind == "limit changed" and fault.amount == 0 and pauses(fault.at)
        if fault.target != FLEET:
            self._limits[fault.target] = limit = OPEN_LIMIT if paused else fault.amount
            return self._operate(_said(set_limit(fault.target, limit=limit, at=at), paused=paused))
        if fault.kind == "limit changed":
            self._paused = paused
            self._fleet = self._fleet if paused else fault.amount
        else:
            self._yields = bool(fault.amount)
        said = set_limit(FLEET, limit=self._fleet, at=at, yields=self._yields)
        return self._operate(_said(said, paused=self._paused))

    def _share(self, fault: Fault) -> bool:
        weight, least = share_of(fault)
        self._limits[fault.target] = OPEN_LIMIT
        limit = set_limit(fault.target, limit=OPEN_LIMIT, at=round(self.loop.now * 1000))
        return self._operate(Put(limit.key, limit.item | {"weight": weight, "min_share": least}))

    # --- processes ------------------------------------------------------------------------------------

    def _start(self, name: str) -> None:
        process = Process(
            self.loop, name, seed=self._plan.seed, life=len(self._lived) + 1, rate=self._plan.rates.get(name, 1.0)
        )
        self.processes[name] = process
        self._lived.append(process)
        process.diary = self.checks.diary
        engine = SimulatedEngine(process, self.network, self.queues, self.streams, self.checks.announced)
        if name == API:
            process.subject = parts_on(engine, process.clock, process.ids, silent())
            return
        main = process.start(self._main(process, engine))
        main.add_done_callback(lambda task: self._ended(process, task), context=self.network.world)

    async def _main(self, process: Process, engine: SimulatedEngine) -> None:
        telemetry = silent()
        if process.name in ORCHESTRATORS:
            given = Surroundings(process.clock, process.ids, process.chance, telemetry)
            parts = Parts.on(engine, given)
            process.line = lambda: [token for gate in parts.admission.shards.gates for token in gate.waiting]
            await parts.admission.turn(Hints())
            process.subject = host = direct_host(parts, engine, given)
            await host.run()
        if self._serves[process.name] != self._served[process.name] and not self.checks.faults_have_stopped:
            self.sightings.note(RELEASED)
        self._served[process.name] = self._serves[process.name]
        stop, hurry = asyncio.Event(), asyncio.Event()
        workers = SimulatedWorkers(process, RUNNER_CAPACITY)
        runner = runner_on(
            engine,
            RunnerSurroundings(process.clock, process.ids, process.chance, telemetry, workers),
            registry(self._serves[process.name]),
            capacity=RUNNER_CAPACITY,
            first_session=f"ses_first_{process.life}",
        )
        process.subject, process.stop = runner, stop
        await runner.run(stop, hurry)

    def _ended(self, process: Process, task: asyncio.Task[Any]) -> None:
        """A service that ends is started again, as a supervisor does it."""
        if process.gone:
            return
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, Retryable):
            self.loop.failure = Violation("log", f"{process.name} ended with {error!r}")
            self.loop.failure.__cause__ = error
        self.trace.note(self.loop.now, process.name, f"ends {error or ''}")
        process.kill()
        self.network.later(RESTART_SECONDS, self._restart, process.name, process.life)

    def _crash(self, process: Process, seconds: float) -> None:
        if process.gone:
            return
        self.trace.note(self.loop.now, process.name, "is killed")
        self.checks.dies(process)
        process.kill()
        self.network.later(seconds, self._restart, process.name, process.life)

    def _restart(self, name: str, life: int) -> None:
        if self.processes[name].life == life:
            self.trace.note(self.loop.now, name, "starts")
            self._start(name)

    # --- faults that no call waits for ------------------------------------------------------------------

    def _begin(self, fault: Fault) -> None:
        if self.loop.now > self._plan.fault_seconds:
            return
        if fault.kind in (*CALL_FAULTS, *QUEUE_FAULTS, SLOW_REQUEST):
            self.network.arm(fault)
        elif fault.kind in STREAM_FAULTS:
            self.streams.spoil(fault)
        elif fault.kind == RELEASED:
            self._release(fault.target, RELEASES[fault.amount])
        else:
            process = self.processes.get(fault.target)
            happened = self._spoil_world(fault) if process is None else self._spoil(process, fault)
            if happened:
                self.network.happens(happened, fault.target, f" ({fault.seconds:.1f} s, {fault.amount})")

    def _spoil(self, process: Process, fault: Fault) -> str:
        """What happened. "": nothing did, or nothing has yet: a spell happens when it hits somebody."""
        if process.gone:
            return ""
        clock, happened = process.clock, True
        match fault.kind:
            case "killed":
                self._crash(process, fault.seconds)
            case "buried":
                self._crash(process, fault.seconds)
                if process.name not in RUNNERS or not self._operate(bury_session(f"ses_first_{process.life}")):
                    return "killed"
            case "frozen":
                happened = process.freeze(fault.seconds)
            case "clock drifts":
                rate = DRIFT_RATES[fault.amount % len(DRIFT_RATES)]
                happened = rate != clock.rate
                clock.run_at(rate)
            case "wall clock jumps":
                hour = timedelta(hours=1 if fault.amount % 2 else -1)
                happened = hour != clock.wrong_by
                clock.wrong_by = hour
            case "deployed":
                happened = self._deploy(process)
            case "outage":
                self.network.cut_off(fault.kind, min(fault.seconds, 15.0), target=process.name)
                happened = False
            case _:
                raise AssertionError(fault)
        return fault.kind if happened else ""

    def _release(self, runner: str, versions: tuple[str, ...]) -> None:
        self._serves[runner] = versions
        process = self.processes[runner]
        if not process.gone:
            self._deploy(process)

    def _deploy(self, process: Process) -> bool:
        """SIGTERM. A runner hands back at its next checkpoint; the others have nothing to hand back. False: it had come
        before."""
        if not isinstance(process.subject, Runner) or process.stop is None:
            self._crash(process, RESTART_SECONDS)
        elif process.stop.is_set():
            return False
        else:
            self.checks.is_told_to_stop(process.subject)
            process.stop.set()
        return True

    def _spoil_world(self, fault: Fault) -> str:
        """As `_spoil`."""
        happened = False
        match fault.kind:
            case "outage of everything" | "sessions throttled":
                self.network.cut_off(fault.kind, fault.seconds, of_sessions=fault.kind == "sessions throttled")
            case "dispatches lost":
                self.queues.lose_all(DISPATCH_QUEUE, 2 * fault.seconds)
            case "dispatches late":
                self.queues.delay_all(DISPATCH_QUEUE, 2 * fault.seconds)
            case "number of shards changed":
                happened = self._operate(set_limit(SHARDS, limit=fault.amount, at=round(self.loop.now * 1000)))
            case "limit changed" | "yielding switched":
                happened = self._limit(fault)
            case "shares changed":
                happened = self._share(fault)
            case "clean start of everything":
                alive = [process for process in self.processes.values() if not process.gone]
                happened = len(alive) > 1
                self.checks.die_together(alive)
                for process in alive:
                    self._crash(process, fault.seconds)
            case _:
                raise AssertionError(fault)
        return fault.kind if happened else ""


def simulate(plan: Plan, *, verbose: bool = False) -> Result:
    return World(plan, verbose=verbose).run()


def _said(limit: Put, *, paused: bool) -> Put:
    return Put(limit.key, limit.item | {"paused": True}) if paused else limit
