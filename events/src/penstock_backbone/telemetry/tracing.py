"""The tracer of one service: spans leave in batches on a background thread, and never hold the service up."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NoOpTracer,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    get_current_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from penstock_backbone.telemetry.span_store import SpanStore, StoredSpan

QUEUE_SPANS_MAX = 8192
BATCH_SPANS_MAX = 256
EXPORT_EVERY_MILLISECONDS = 500
SHUTDOWN_SECONDS_MAX = 0.8
ATTRIBUTE_CHARS_MAX = 2_000
ATTRIBUTES_MAX = 64

_OURS = re.compile("00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", re.ASCII)
"""What current_traceparent makes. Read here, it costs a tenth of what the library's reader takes for all versions."""
_NO_PARENT = Context()
_propagator = TraceContextTextMapPropagator()
_span_ids = RandomIdGenerator()
_scope = InstrumentationScope("penstock")
_unset = Status(StatusCode.UNSET)


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What a service is given to trace with. `store` is where its spans can be read on this machine, if they can."""

    tracer: Tracer
    store: SpanStore | None = None
    _provider: TracerProvider | None = None
    _processor: _CountingProcessor | None = None

    @property
    def spans_dropped(self) -> int:
        """Spans lost so far because the queue was full or the store could not be written."""
        queued_too_many = self._processor.dropped if self._processor else 0
        return queued_too_many + (self.store.dropped if self.store else 0)

    def record(
        self,
        name: str,
        *,
        parent: SpanContext | None,
        started_nanoseconds: int,
        ended_nanoseconds: int,
        attributes: Mapping[str, str | int],
        error: str | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> None:
        """A span that is over already, under `parent` (see parent_of), for a fifth of what starting and ending one
        costs. Nothing happens without a parent, or when nobody collects spans or this trace. Times since 1970.
        """
        if self._processor is None or self._provider is None or parent is None or not parent.trace_flags.sampled:
            return
        context = SpanContext(
            parent.trace_id, _span_ids.generate_span_id(), is_remote=False, trace_flags=parent.trace_flags
        )
        span = ReadableSpan(
            name,
            context=context,
            parent=parent,
            resource=self._provider.resource,
            attributes=attributes,
            kind=kind,
            status=_unset if error is None else Status(StatusCode.ERROR, error[:ATTRIBUTE_CHARS_MAX]),
            start_time=started_nanoseconds,
            end_time=ended_nanoseconds,
            instrumentation_scope=_scope,
        )
        self._processor.on_end(span)

    def shutdown(self) -> None:
        """Sends what is queued, and gives up after SHUTDOWN_SECONDS_MAX: a missing collector must not delay the exit."""
        if self._provider is None:
            return
        sender = threading.Thread(target=self._provider.shutdown, name="telemetry-shutdown", daemon=True)
        sender.start()
        sender.join(SHUTDOWN_SECONDS_MAX)


def start(service: str, *, store_path: Path | None, otlp: bool) -> Telemetry:
    """Spans go to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names (`otlp`), else to the file `store_path`.

    With neither, spans still carry their ids from service to service and are then forgotten.
    """
    provider = TracerProvider(
        resource=Resource.create({SERVICE_NAME: service}),
        shutdown_on_exit=False,
        span_limits=SpanLimits(max_span_attributes=ATTRIBUTES_MAX, max_span_attribute_length=ATTRIBUTE_CHARS_MAX),
    )
    store = SpanStore(store_path) if store_path and not otlp else None
    exporter = _otlp_exporter() if otlp else _StoreExporter(service, store) if store else None
    processor = _CountingProcessor(exporter) if exporter else None
    if processor:
        provider.add_span_processor(processor)
    return Telemetry(provider.get_tracer("penstock"), store, provider, processor)


def silent() -> Telemetry:
    """For simulations and tests: spans without ids, so that nothing differs between two runs."""
    return Telemetry(NoOpTracer())


def current_traceparent(span: Span) -> str | None:
    """W3C traceparent to store on an item or put into an envelope; None for a silent span."""
    context = span.get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def context_from(traceparent: str | None) -> Context:
    """The parent for tracer.start_span(context=…). Absent or malformed: a context without a span, for a new trace."""
    if not traceparent:
        return _NO_PARENT
    return _propagator.extract({"traceparent": traceparent}, _NO_PARENT)


def parent_of(traceparent: str | None) -> SpanContext | None:
    """The parent for Telemetry.record; None when it is absent or malformed."""
    ours = _OURS.fullmatch(traceparent) if traceparent else None
    if ours is None:
        context = get_current_span(context_from(traceparent)).get_span_context()
    else:
        trace, span, flags = (int(part, 16) for part in ours.groups())
        context = SpanContext(trace, span, is_remote=True, trace_flags=TraceFlags(flags))
    return context if context.is_valid else None


class _TakenCount(SpanExporter):
    """Counts the spans that the background thread took off the queue, before handing them on."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.taken = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.taken += len(spans)
        return self._exporter.export(spans)

    def shutdown(self) -> None:
        self._exporter.shutdown()


class _CountingProcessor(BatchSpanProcessor):
    """The library's processor would log a line for each span it drops; this one counts them instead."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._counter = _TakenCount(exporter)
        self._queued = 0
        self.dropped = 0
        super().__init__(
            self._counter,
            max_queue_size=QUEUE_SPANS_MAX,
            schedule_delay_millis=EXPORT_EVERY_MILLISECONDS,
            max_export_batch_size=BATCH_SPANS_MAX,
        )

    def on_end(self, span: ReadableSpan) -> None:
        if not (span.context and span.context.trace_flags.sampled):
            return
        if self._queued - self._counter.taken >= QUEUE_SPANS_MAX:
            self.dropped += 1
            return
        self._queued += 1
        super().on_end(span)


class _StoreExporter(SpanExporter):
    """Runs on the background thread."""

    def __init__(self, service: str, store: SpanStore) -> None:
        self._service = service
        self._store = store

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        dropped_before = self._store.dropped
        self._store.write([_stored(self._service, span) for span in spans])
        return SpanExportResult.SUCCESS if self._store.dropped == dropped_before else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self._store.close()


def _stored(service: str, span: ReadableSpan) -> StoredSpan:
    context = span.get_span_context()
    assert context is not None, "an ended span has a context"
    started, ended = span.start_time or 0, span.end_time or 0
    fields: dict[str, Any] = {
        "name": span.name,
        "service": service,
        "span_id": f"{context.span_id:016x}",
        "parent_id": f"{span.parent.span_id:016x}" if span.parent else None,
        "start_ms": started / 1e6,
        "duration_ms": (ended - started) / 1e6,
        "status": span.status.status_code.name.lower(),
        "error": span.status.description,
        "attributes": dict(span.attributes or {}),
    }
    return f"{context.trace_id:032x}", fields


def _otlp_exporter() -> SpanExporter:
    """Endpoint, headers and timeout come from the standard OTEL_EXPORTER_OTLP_* variables."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415  # slow to import, seldom used
        OTLPSpanExporter,
    )

    return OTLPSpanExporter()
