"""One span for each admission: from joining the line to being let in, in the trace of its request."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import NamedTuple

from opentelemetry.trace import SpanKind

from penstock_backbone.ports import Clock
from penstock_backbone.records.projects import ProjectItem
from penstock_backbone.records.times import to_ms
from penstock_backbone.records.tokens import GRANT, Operation
from penstock_backbone.telemetry import Telemetry, parent_of
from penstock_orchestrator.domain.token import Token

WAITS_MAX = 20_000
"""Waits that are followed; beyond that, and after a restart, a trace lacks this span and nothing else."""
NANOSECONDS_OF_MILLISECOND = 1_000_000


class _Wait(NamedTuple):
    token: Token
    traceparent: str
    since: int


class Waits:
    def __init__(self, telemetry: Telemetry, clock: Clock) -> None:
        self._telemetry = telemetry
        self._clock = clock
        self._waits: dict[str, _Wait] = {}

    def begin(self, tokens: Iterable[Token], projects: Sequence[ProjectItem]) -> None:
        traceparents = {project.get("run_id"): project.get("traceparent") for project in projects}
        now = to_ms(self._clock.now())
        for token in tokens:
            traceparent = traceparents.get(token.run)
            if traceparent and len(self._waits) < WAITS_MAX:
                self._waits.setdefault(token.key, _Wait(token, traceparent, now))

    def forget_all_but(self, waiting: Container[str]) -> None:
        """Others were let in by somebody else, whose span it is."""
        self._waits = {key: wait for key, wait in self._waits.items() if key in waiting}

    def end(self, operations: Iterable[Operation]) -> None:
        now = to_ms(self._clock.now())
        for operation in operations:
            wait = self._waits.pop(operation.token, None) if operation.op == GRANT else None
            if wait is None:
                continue
            self._telemetry.record(
                "admission",
                parent=parent_of(wait.traceparent),
                kind=SpanKind.CONSUMER,
                started_nanoseconds=wait.since * NANOSECONDS_OF_MILLISECOND,
                ended_nanoseconds=now * NANOSECONDS_OF_MILLISECOND,
                attributes={
                    "penstock.run": wait.token.run,
                    "penstock.tenant": wait.token.tenant,
                    "penstock.fence": operation.fence,
                },
            )
