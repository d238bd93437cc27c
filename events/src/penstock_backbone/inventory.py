"""The one list of tables, indexes, queues, rules and consumers.

The Pulumi program builds the cloud from it, the provisioner builds an emulator from it, the embedded
engine obeys it. Physical names get the stack's prefix in front ("penstock-dev-runs").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

EVENT_SOURCE = "penstock"

PROJECTS = "projects"
RUNS = "runs"
TOKENS = "tokens"
SESSIONS = "sessions"
LIMITS = "limits"

LIMITS_PK = "LIMITS"
"""The partition of the limits themselves; the boards stand in partitions of their own."""

ADMISSION_QUEUE = "admission"
DISPATCH_QUEUE = "dispatch"
RELAY_FAILURES_QUEUE = "relay-failures"

RELAY = "relay"
DISPATCHER = "dispatcher"
LIMITS_WATCHER = "limits-watcher"


@dataclass(frozen=True, slots=True)
class Index:
    """A sparse index over two string attributes; all attributes projected, eventually consistent."""

    name: str
    hash_attribute: str
    range_attribute: str


@dataclass(frozen=True, slots=True)
class Table:
    """Keyed by the strings `pk` and `sk`; streamed with new images where a consumer reads it."""

    name: str
    purpose: str
    streamed: bool = False
    indexes: tuple[Index, ...] = ()


@dataclass(frozen=True, slots=True)
class Queue:
    name: str
    purpose: str
    visibility_seconds: int
    receives_max: int = 8
    retention_seconds: int = 4 * 24 * 3600
    dead_letter: bool = True

    @property
    def dlq(self) -> str:
        return f"{self.name}-dlq"


@dataclass(frozen=True, slots=True)
class Rule:
    """Events on the bus that match `pattern` (EventBridge's language) are sent to `queue`."""

    name: str
    purpose: str
    pattern: dict[str, Any]
    queue: str


@dataclass(frozen=True, slots=True)
class Consumer:
    """Reads the streams of `tables`, where `partition` is given only what changes there (an engine may hand out more);
    a record that fails `attempts_max` times goes to `failures`."""

    name: str
    purpose: str
    tables: tuple[str, ...]
    partition: str = ""
    batch_records: int = 100
    attempts_max: int = 8
    failures: str = RELAY_FAILURES_QUEUE

    def wants(self, table: str, pk: str) -> bool:
        return table in self.tables and self.partition in ("", pk)


@dataclass(frozen=True, slots=True)
class Inventory:
    tables: tuple[Table, ...]
    queues: tuple[Queue, ...]
    rules: tuple[Rule, ...]
    consumers: tuple[Consumer, ...]
    bus: str = "penstock"
    bucket: str = "artifacts"

    def table(self, name: str) -> Table:
        return next(table for table in self.tables if table.name == name)

    def queue(self, name: str) -> Queue:
        return next(queue for queue in self.queues if queue.name == name)

    def consumer(self, name: str) -> Consumer:
        return next(consumer for consumer in self.consumers if consumer.name == name)


BY_TENANT = Index("by_tenant", hash_attribute="tenant", range_attribute="created")
BY_STATUS = Index("by_status", hash_attribute="tenant_status", range_attribute="created")

SLOT_FREED = ("RunSucceeded", "RunFailed", "RunCancelled", "RunTimedOut", "RunWaiting", "RunPaused", "RunRequeued")
"""Facts after which a run needs no token, or its token goes back to the line."""
TOKEN_WANTED = ("RunResumed", "RunRetried")
"""Facts after which a run needs one again."""

INVENTORY = Inventory(
    tables=(
        Table(PROJECTS, "what was asked for, and idempotency keys", streamed=True, indexes=(BY_TENANT,)),
        Table(RUNS, "the truth of each run: state, fence, facts, stages", streamed=True, indexes=(BY_STATUS,)),
        Table(TOKENS, "heads and tokens: who may run (only the orchestrator writes)", streamed=True),
        Table(SESSIONS, "one lease per runner process"),
        Table(LIMITS, "how many may run, by scope", streamed=True),
    ),
    queues=(
        Queue(ADMISSION_QUEUE, "hints for the orchestrator: look at this project or run", visibility_seconds=60),
        Queue(DISPATCH_QUEUE, "granted runs for the runners", visibility_seconds=30),
        Queue(
            RELAY_FAILURES_QUEUE,
            "stream records that could not be published",
            visibility_seconds=60,
            retention_seconds=14 * 24 * 3600,
            dead_letter=False,
        ),
    ),
    rules=(
        Rule(
            "admission",
            "new projects, and runs that need a slot no longer or again, wake the admission",
            {"source": [EVENT_SOURCE], "detail-type": ["ProjectCreated", *SLOT_FREED, *TOKEN_WANTED]},
            ADMISSION_QUEUE,
        ),
    ),
    consumers=(
        Consumer(RELAY, "turns new facts into events on the bus", (PROJECTS, RUNS)),
        Consumer(DISPATCHER, "turns grants into dispatch messages", (TOKENS,)),
        Consumer(LIMITS_WATCHER, "wakes the admission when a limit changes", (LIMITS,), partition=LIMITS_PK),
    ),
)
