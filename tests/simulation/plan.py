"""What goes wrong in one seed, as an explicit list: it can be read, replayed, and shortened one fault at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random  # noqa: TID251  # the simulation's chance is seeded

from tests.simulation.machine import stream_of
from tests.simulation.workload import SCOPES, TENANTS

from penstock_backbone.inventory import ADMISSION_QUEUE, DISPATCH_QUEUE, DISPATCHER, LIMITS_WATCHER, RELAY
from penstock_backbone.records.limits import FLEET, tenant_scope
from penstock_orchestrator.domain.picker import AGE_SECONDS

FAULTS_SECONDS = (20.0, 30.0, 50.0)
"""Of virtual time in which things go wrong; then they stop, and everything has to finish. Of the same machine time many
short worlds find more than few long ones; what needs a lease, a take-over and another lease needs the long ones."""
RUNS_PER_SECOND = (0.25, 0.45)
SUBMIT_PART = 0.65
"""Of that time, in which users come."""
ARMED_SECONDS = 15.0
"""For so long a fault of a call waits for a call that it fits."""

API = "api"
ORCHESTRATORS = ("orchestrator-1", "orchestrator-2")
RUNNERS = ("runner-1", "runner-2", "runner-3")

EVERYTHING = "everything"
ANY_CALL = ""
LOSABLE = "accept a hint"
WRITES = ("tables.write", "tables.transact")
"""Prefixes: the names of calls on tables end with the table, and so do those of writes that follow a guard."""
RUNS_WRITE, TOKENS_WRITE, SESSIONS_WRITE = "tables.write runs", "tables.write tokens", "tables.write sessions"
DECISION, ENQUEUE, LEDGER = "tables.write_after tokens", "tables.transact", "tables.transact ledger"
HEADS, TOKENS_OF = "tables.get heads", "tables.query TK#"
CLAIM, COMMIT, REVOKE = "tables.write runs claim", "tables.write runs commit", "tables.write runs revoke"
END = f"{COMMIT} end"
THEMES = (
    *((call, ORCHESTRATORS) for call in (DECISION, ENQUEUE, TOKENS_WRITE, REVOKE, COMMIT, SESSIONS_WRITE)),
    *((call, RUNNERS) for call in (CLAIM, COMMIT, SESSIONS_WRITE)),
    (ENQUEUE, (API,)),
)
"""Calls that matter, with those who make them: each seed spoils one of them again and again."""
THEME_FAULTS = 16
OF_RUNNERS = (CLAIM, RUNS_WRITE, RUNS_WRITE, RUNS_WRITE, SESSIONS_WRITE)
OF_ORCHESTRATORS = (DECISION, DECISION, ENQUEUE, TOKENS_WRITE, RUNS_WRITE, SESSIONS_WRITE, "bus.publish", "queues.send")
BATCHES = (DECISION, DECISION, RUNS_WRITE, TOKENS_WRITE, "bus.publish", "queues.send")
ONLY_WRITES = frozenset({"late write", "conflict", "frozen between check and write", "killed before a write"})
CHAINS = (0, 0, 1, 2)
CALL_FAULTS = (
    "request lost",
    "response lost",
    "late write",
    "throttled",
    "conflict",
    "part of a batch refused",
    "slow answer",
    "frozen between check and write",
    "killed before a write",
    "killed after a write",
)
"""What happens at the next call of one process that fits."""

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
YIELDS_SWITCHED, SHARES_CHANGED = "yielding switched", "shares changed"
KINDS = (*CALL_FAULTS, *PROCESS_FAULTS, *QUEUE_FAULTS, *STREAM_FAULTS, *WORLD_FAULTS)
RESHARDED, SLOW_REQUEST = "number of shards changed", "slow request"
OF_SHARDS = (RESHARDED, SLOW_REQUEST)
RELEASED = "other versions served"
RELEASES = (("1",), ("2",), ("2",), ("1", "2"), ("2", "1"))
"""What a runner serves from its next life on: at first each serves version 1."""
RELEASED_PART = 0.4
"""Of the seeds."""
TIGHT_PART = 0.5
NARROW = (0, 0, 0, 2, 3, 5)
AGES_SECONDS = (AGE_SECONDS, AGE_SECONDS, 5)
RARE_PART = 0.12
SHARDED_PART = 0.4
"""Of the seeds; the others have one shard from beginning to end."""


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
    submit_seconds: float
    fault_seconds: float
    runners: int = 3
    crash_after: int = 0
    """The exhaustive mode: the process that makes this write, counted over the whole world from 1, dies of it."""
    crash_partly: bool = False
    """Of that write, where it is a batch, only a part is applied."""
    keeps_limits: bool = False
    """Of scopes, when the faults stop; only what lets nobody in any more is lifted."""
    narrow: int = 0
    """So many operations fill a decision, so many projects a turn, and so many tokens a move; 0: as many as in production."""
    age_seconds: int = AGE_SECONDS
    """Of waiting, that count as much as one priority."""


def plan_of(seed: int) -> Plan:
    """A swarm: each seed has some kinds of faults and not others, because too many at once hide each other."""
    chance = stream_of(seed, "plan")
    kinds = [kind for kind in KINDS if chance.random() < 0.45] or list(KINDS)
    within = chance.choice(FAULTS_SECONDS)
    density = chance.choice((10, 25, 50, 90))
    names = (API, *ORCHESTRATORS, *RUNNERS)
    drift = chance.random() < 0.4
    faults = [_fault(chance, chance.choice(kinds), chance.uniform(0.0, within)) for _ in range(density)]
    faults += _theme(chance, seed, within)
    for _ in range(chance.choice(CHAINS)):
        faults += _chain(chance, chance.uniform(2.0, max(3.0, within - 20.0)))
    faults += _shards(stream_of(seed, "shards"), within)
    faults += _yields(stream_of(seed, "yields"), within)
    faults += _shares(stream_of(seed, "shares"), within)
    faults += _tight(stream_of(seed, "tight"), within)
    faults += _rarities(stream_of(seed, "rarities"), within)
    faults += _releases(stream_of(seed, "releases"), within)
    settings = stream_of(seed, "settings")
    faults.sort(key=lambda fault: (fault.at, fault.kind, fault.target, fault.call))
    return Plan(
        seed,
        runs=round(within * chance.uniform(*RUNS_PER_SECOND)),
        shuffled=chance.random() < 0.4,
        latency=chance.choice((0.002, 0.01, 0.04)),
        fleet=chance.choice((2, 3, 5, 8)),
        rates={name: chance.uniform(0.82, 1.22) if drift else 1.0 for name in names},
        faults=tuple(faults),
        submit_seconds=within * SUBMIT_PART,
        fault_seconds=within,
        keeps_limits=settings.random() < 0.5,
        narrow=settings.choice(NARROW),
        age_seconds=settings.choice(AGES_SECONDS),
    )


def pauses(at: float) -> bool:
    """Half of the limits that let nobody in any more are pauses, which keep the limit that there was."""
    return round(at * 1000) % 2 == 1


def _fault(chance: Random, kind: str, at: float) -> Fault:
    seconds = chance.choice((0.5, 3.0, 12.0, 25.0)) * chance.uniform(0.5, 1.2)
    amount = chance.randrange(1 << 16)
    if kind in CALL_FAULTS:
        target, call = _call(chance, kind)
        return Fault(at, kind, target, call, seconds, amount)
    if kind in PROCESS_FAULTS:
        return Fault(at, kind, chance.choice((*ORCHESTRATORS, *RUNNERS, *RUNNERS, API)), "", seconds, amount)
    if kind in QUEUE_FAULTS:
        call = LOSABLE if kind == "message lost" else ANY_CALL
        return Fault(at, kind, chance.choice((ADMISSION_QUEUE, DISPATCH_QUEUE)), call, seconds, amount)
    if kind in STREAM_FAULTS:
        return Fault(at, kind, chance.choice((RELAY, DISPATCHER, LIMITS_WATCHER)), "", seconds, amount)
    if kind == "limit changed":
        return Fault(at, kind, _scope(chance), "", 0.0, chance.choice((0, 1, 2, 3, 5, 8)))
    return Fault(at, kind, EVERYTHING, "", min(seconds, 10.0), amount)


def _call(chance: Random, kind: str) -> tuple[str, str]:
    """Somebody, and a call that he makes: mostly a write that matters, because reads are many and bear everything."""
    if kind == "part of a batch refused":
        return chance.choice(ORCHESTRATORS), chance.choice(BATCHES)
    lot = chance.random()
    if lot < 0.4:
        return chance.choice(RUNNERS), chance.choice(OF_RUNNERS)
    if lot < 0.8:
        return chance.choice(ORCHESTRATORS), chance.choice(OF_ORCHESTRATORS)
    if lot < 0.9 or kind in ONLY_WRITES:
        return API, ENQUEUE
    return chance.choice((*ORCHESTRATORS, *RUNNERS)), ANY_CALL


def _theme(chance: Random, seed: int, within: float) -> list[Fault]:
    """Seeds that follow each other go through every pair of such a call and what can happen to it."""
    call, targets = THEMES[seed % len(THEMES)]
    kind = CALL_FAULTS[seed // len(THEMES) % len(CALL_FAULTS)]
    faults = []
    for _ in range(THEME_FAULTS):
        seconds = chance.choice((0.5, 3.0, 12.0, 25.0)) * chance.uniform(0.5, 1.2)
        at = chance.uniform(0.0, within)
        faults.append(Fault(at, kind, chance.choice(targets), call, seconds, chance.randrange(1 << 16)))
    if call == REVOKE:
        faults.append(Fault(chance.uniform(0.0, 20.0), "dispatches late", EVERYTHING, "", 15.0, 0))
    return faults


def _shards(chance: Random, within: float) -> list[Fault]:
    """Two or three from the first moment, then other numbers while everything runs, and trouble at the ledger's writes."""
    if chance.random() >= SHARDED_PART:
        return []
    times = [0.0, *sorted(chance.uniform(1.0, within - 5.0) for _ in range(chance.choice((0, 1, 2, 4))))]
    numbers = [chance.choice((2, 3)), *(chance.choice((1, 2, 3, 4)) for _ in times[1:])]
    faults = [Fault(at, RESHARDED, EVERYTHING, "", 0.0, number) for at, number in zip(times, numbers, strict=True)]
    for _ in range(chance.choice((0, 6, 16))):
        at = max(0.0, chance.choice((*times, chance.uniform(0.0, within))) - 0.1)
        seconds = chance.choice((0.5, 3.0, 12.0, 25.0)) * chance.uniform(0.5, 1.2)
        faults.append(Fault(at, chance.choice(CALL_FAULTS), chance.choice(ORCHESTRATORS), LEDGER, seconds, 0))
    if chance.random() < 0.5:
        faults += _up_and_down(chance, chance.uniform(2.0, within - 10.0) * SUBMIT_PART)
    for _ in range(chance.choice((0, 10, 30))):
        at = max(0.0, chance.choice((*times, chance.uniform(0.0, within))) - 0.1)
        call = chance.choice((HEADS, f"{TOKENS_OF}{chance.randrange(3)}"))
        faults.append(Fault(at, SLOW_REQUEST, chance.choice(ORCHESTRATORS), call, chance.uniform(0.1, 0.9), 0))
    return faults


def _yields(chance: Random, within: float) -> list[Fault]:
    """In most seeds runs yield, from the beginning or later, or now and then."""
    first, last = within / 3, chance.uniform(within / 3, within)
    times = chance.choice(((), (0.0,), (0.0,), (chance.uniform(0.0, first),), (0.0, first, last)))
    return [Fault(at, YIELDS_SWITCHED, FLEET, "", 0.0, 1 - place % 2) for place, at in enumerate(times)]


def _shares(chance: Random, within: float) -> list[Fault]:
    """In half of the seeds tenants have weights and least shares, and mostly others later."""
    times = chance.choice(((), (), (0.0,), (0.0, chance.uniform(1.0, within)), (chance.uniform(1.0, within),)))
    tenants = list(map(tenant_scope, TENANTS))
    return [
        Fault(at, SHARES_CHANGED, tenant, "", 0.0, chance.randrange(1 << 16))
        for at in times
        for tenant in chance.sample(tenants, chance.randint(1, len(tenants)))
    ]


def share_of(fault: Fault) -> tuple[int, int]:
    """The weight and the least share that it gives its tenant."""
    return (1, 2, 3, 5)[fault.amount % 4], (0, 1, 2, 4)[fault.amount // 4 % 4]


def _tight(chance: Random, within: float) -> list[Fault]:
    """In half of the seeds some tenants, workflows and resources may have few runs at once, mostly from the first moment."""
    if chance.random() >= TIGHT_PART:
        return []
    return [
        Fault(
            chance.choice((0.0, 0.0, chance.uniform(0.0, within))),
            "limit changed",
            scope,
            "",
            0.0,
            chance.choice((1, 1, 2)),
        )
        for scope in chance.sample(SCOPES, chance.choice((1, 3, 6)))
    ]


def _releases(chance: Random, within: float) -> list[Fault]:
    """One runner after another serves other versions, or all of them at once."""
    if chance.random() >= RELEASED_PART:
        return []
    faults = []
    for _ in range(chance.choice((1, 2, 4))):
        at, pause, release = (
            chance.uniform(0.0, within),
            chance.choice((0.0, 2.0, 8.0)),
            chance.randrange(len(RELEASES)),
        )
        names = chance.choice((RUNNERS, (chance.choice(RUNNERS),)))
        faults += [Fault(at + place * pause, RELEASED, name, "", 0.0, release) for place, name in enumerate(names)]
    return faults


def _up_and_down(chance: Random, at: float) -> list[Fault]:
    """While a few wait for one slot the limit grows, so that budgets do, and is mostly lowered or paused again while the
    ledger's write is still on its way."""
    kind = chance.choice((*2 * ("frozen between check and write",), "late write", "response lost"))
    last = chance.choice((2, 2, 0, 0, 8))
    faults = [
        Fault(at + after, "limit changed", FLEET, "", 0.0, limit) for after, limit in ((0.0, 1), (6.0, 8), (9.0, last))
    ]
    return [*faults, *(Fault(at + 5.9, kind, name, LEDGER, chance.uniform(3.5, 9.0), 0) for name in ORCHESTRATORS)]


def _chain(chance: Random, at: float) -> list[Fault]:
    """Faults that only together reach what stands behind two defences."""
    return chance.choice((_late_apply, _late_claim, _late_revoke))(chance, at)


def _late_apply(chance: Random, at: float) -> list[Fault]:
    """An apply is refused, repeated, and that repetition lands when the token has had its next turn, because its
    runner was killed."""
    faults = [Fault(at, "killed", name, "", 3.0, 0) for name in RUNNERS]
    late = chance.choice((1.0, 3.0, 12.0, 25.0))
    for name in ORCHESTRATORS:
        begin = max(0.0, at + chance.choice((-0.2, 9.5, 10.5)))
        faults.append(Fault(begin, "part of a batch refused", name, DECISION, 0.0, chance.randrange(1 << 16)))
        faults.append(Fault(begin, "late write", name, TOKENS_WRITE, late, 0))
    return faults


def _late_claim(chance: Random, at: float) -> list[Fault]:
    """Runners freeze in the middle of a claim, nobody else hears of the grant, and they wake after it was revoked."""
    faults = [
        Fault(at, "frozen between check and write", name, CLAIM, chance.uniform(14.0, 22.0), 0) for name in RUNNERS
    ]
    return [*faults, Fault(at + chance.uniform(0.2, 2.0), "dispatches lost", EVERYTHING, "", 9.0, 0)]


def _late_revoke(chance: Random, at: float) -> list[Fault]:
    """Nobody hears of the grants, and when they are revoked that lands once more after the next grant was claimed."""
    faults = [
        Fault(at + begin, "late write", name, REVOKE, chance.uniform(0.1, 3.0), 0)
        for name in ORCHESTRATORS
        for begin in (9.0, 9.1, 9.2)
    ]
    return [Fault(at, "dispatches lost", EVERYTHING, "", 7.5, 0), *faults]


def _rarities(chance: Random, within: float) -> list[Fault]:
    """What faults that are drawn alone nearly never come to, in one seed of eight."""
    if chance.random() >= RARE_PART:
        return []
    kind = chance.choice((_late_enqueues, _late_enqueues, _lost_ends, _frozen_commits, _half_decisions))
    return kind(chance, chance.uniform(0.0, within * SUBMIT_PART))


def _late_enqueues(chance: Random, at: float) -> list[Fault]:
    """They land when the run that another try has made is over, or cancelled."""
    return [
        Fault(at / 4 + after, "late write", name, ENQUEUE, chance.uniform(8.0, 25.0), 0)
        for name in ORCHESTRATORS
        for after in (0.0, 1.0, 2.0, 4.0, 6.0, 8.0, 11.0, 14.0)
    ]


def _lost_ends(chance: Random, at: float) -> list[Fault]:
    return [
        Fault(at + after, "killed before a write", name, END, chance.uniform(0.5, 3.0), 0)
        for name in RUNNERS
        for after in (0.0, 4.0)
    ]


def _frozen_commits(chance: Random, at: float) -> list[Fault]:
    """Until somebody else has the run, or nobody."""
    return [
        Fault(at, "frozen between check and write", name, COMMIT, chance.uniform(14.0, 22.0), 0) for name in RUNNERS
    ]


def _half_decisions(chance: Random, at: float) -> list[Fault]:
    """Some of their operations are done when their orchestrator dies."""
    return [
        Fault(
            at + after,
            "killed after a write",
            name,
            DECISION,
            chance.uniform(0.5, 3.0),
            2 * chance.randrange(1 << 15) + 1,
        )
        for name in ORCHESTRATORS
        for after in (0.0, 3.0, 6.0)
    ]


def _scope(chance: Random) -> str:
    return chance.choice((FLEET, FLEET, *SCOPES))


def shortened(plan: Plan, faults: Sequence[Fault]) -> Plan:
    return replace(plan, faults=tuple(faults))
