"""What goes wrong in one seed, as an explicit list: it can be read, replayed, and shortened one fault at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random  # noqa: TID251  # the simulation's chance is seeded

from tests.simulation.machine import stream_of
from tests.simulation.workload import TENANTS, WORKFLOWS

from penstock_backbone.inventory import ADMISSION_QUEUE, DISPATCH_QUEUE, DISPATCHER, LIMITS_WATCHER, RELAY
from penstock_backbone.records.limits import FLEET, tenant_scope, workflow_scope

FAULTS_SECONDS = 60.0
"""Of virtual time in which things go wrong; then they stop, and everything has to finish."""
ARMED_SECONDS = 15.0
"""For so long a fault of a call waits for a call that it fits."""

API = "api"
ORCHESTRATORS = ("orchestrator-1", "orchestrator-2")
RUNNERS = ("runner-1", "runner-2", "runner-3")

EVERYTHING = "everything"
ANY_CALL = ""
LOSABLE = "accept"
WRITES = ("tables.write", "tables.write_after", "tables.transact")
BATCHES = ("tables.write", "tables.write_after", "bus.publish", "queues.send")
CALL_FAULTS = {
    "request lost": ANY_CALL,
    "response lost": ANY_CALL,
    "late write": WRITES,
    "throttled": ANY_CALL,
    "conflict": WRITES,
    "part of a batch refused": BATCHES,
    "slow answer": ANY_CALL,
    "frozen between check and write": WRITES,
    "killed before a write": WRITES,
    "killed after a write": WRITES,
}
"""What happens at the next call of one process that fits, and which calls fit."""

PROCESS_FAULTS = ("killed", "frozen", "clock drifts", "wall clock jumps", "deployed", "outage", "buried")
QUEUE_FAULTS = ("message twice", "message late", "message lost", "message seen twice at once")
STREAM_FAULTS = ("records again", "consumer moved")
WORLD_FAULTS = (
    "outage of everything",
    "sessions throttled",
    "dispatches lost",
    "limit changed",
    "clean start of everything",
)
KINDS = (*CALL_FAULTS, *PROCESS_FAULTS, *QUEUE_FAULTS, *STREAM_FAULTS, *WORLD_FAULTS)


@dataclass(frozen=True, slots=True)
class Fault:
    """`target` is a process, queue, consumer or scope. What `seconds` and `amount` mean depends on the kind."""

    at: float
    kind: str
    target: str
    call: str = ""
    seconds: float = 0.0
    amount: int = 0

    def __str__(self) -> str:
        more = f" {self.call}" if self.call else ""
        return f"{self.at:7.3f} {self.kind}: {self.target}{more} ({self.seconds:.3f} s, {self.amount})"


@dataclass(frozen=True, slots=True)
class Plan:
    """`shuffled`: ready steps run in any order, not first come, first served. `latency`: of a call's way, in seconds."""

    seed: int
    runs: int
    shuffled: bool
    latency: float
    fleet: int
    rates: dict[str, float]
    faults: tuple[Fault, ...]
    runners: int = 3
    submit_seconds: float = 40.0
    fault_seconds: float = FAULTS_SECONDS
    crash_after: int = 0
    """The exhaustive mode: the process that makes this write, counted over the whole world from 1, dies of it."""


def plan_of(seed: int) -> Plan:
    """A swarm: each seed has some kinds of faults and not others, because too many at once hide each other."""
    chance = stream_of(seed, "plan")
    kinds = [kind for kind in KINDS if chance.random() < 0.45]
    density = chance.choice((10, 25, 50, 90))
    names = (API, *ORCHESTRATORS, *RUNNERS)
    drift = chance.random() < 0.4
    faults = sorted(
        (_fault(chance, chance.choice(kinds), chance.uniform(0.0, FAULTS_SECONDS)) for _ in range(density)),
        key=lambda fault: (fault.at, fault.kind, fault.target),
    ) if kinds else []  # fmt: skip
    return Plan(
        seed,
        runs=chance.randint(14, 26),
        shuffled=chance.random() < 0.4,
        latency=chance.choice((0.002, 0.01, 0.04)),
        fleet=chance.choice((2, 3, 5, 8)),
        rates={name: chance.uniform(0.82, 1.22) if drift else 1.0 for name in names},
        faults=tuple(faults),
    )


def _fault(chance: Random, kind: str, at: float) -> Fault:
    seconds = chance.choice((0.5, 3.0, 12.0, 25.0)) * chance.uniform(0.5, 1.2)
    amount = chance.randrange(1 << 16)
    if kind in CALL_FAULTS:
        fits = CALL_FAULTS[kind]
        call = chance.choice(fits) if fits else ANY_CALL
        return Fault(at, kind, _process(chance, call), call, seconds, amount)
    if kind in PROCESS_FAULTS:
        return Fault(at, kind, _process(chance, ""), "", seconds, amount)
    if kind in QUEUE_FAULTS:
        call = LOSABLE if kind == "message lost" else ANY_CALL
        return Fault(at, kind, chance.choice((ADMISSION_QUEUE, DISPATCH_QUEUE)), call, seconds, amount)
    if kind in STREAM_FAULTS:
        return Fault(at, kind, chance.choice((RELAY, DISPATCHER, LIMITS_WATCHER)), "", seconds, amount)
    if kind == "limit changed":
        return Fault(at, kind, _scope(chance), "", 0.0, chance.choice((0, 1, 2, 3, 5, 8)))
    return Fault(at, kind, EVERYTHING, "", min(seconds, 10.0), amount)


def _process(chance: Random, call: str) -> str:
    """Whoever makes that kind of call."""
    if call in {"tables.write_after", "bus.publish", "queues.send"}:
        return chance.choice(ORCHESTRATORS)
    if call == "tables.transact":
        return chance.choice((*ORCHESTRATORS, API))
    return chance.choice((*ORCHESTRATORS, *RUNNERS, *RUNNERS, API))


def _scope(chance: Random) -> str:
    scopes = [FLEET, FLEET, *map(tenant_scope, TENANTS), *map(workflow_scope, WORKFLOWS)]
    return chance.choice(scopes)


def shortened(plan: Plan, faults: Sequence[Fault]) -> Plan:
    return replace(plan, faults=tuple(faults))
