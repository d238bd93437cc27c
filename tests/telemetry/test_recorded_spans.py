"""A span that is over already can be written down in one call, like any other span and much cheaper."""

from __future__ import annotations

from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, get_current_span

from penstock_backbone.telemetry import SpanStore, Telemetry, context_from, parent_of, silent, start
from penstock_backbone.telemetry.tracing import _CountingProcessor

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
ATTRIBUTES: dict[str, str | int] = {"penstock.run": "run_1", "penstock.attempt": 2}


def test_a_recorded_span_is_stored_with_its_parent_times_attributes_and_error(tmp_path: Path) -> None:
    telemetry = start("runner", store_path=tmp_path / "spans.db", otlp=False)
    for error in (None, "ValueError: it broke"):
        telemetry.record(
            "draft", parent=parent_of(PARENT), started_nanoseconds=2_000_000, ended_nanoseconds=5_500_000,
            attributes=ATTRIBUTES, error=error,
        )  # fmt: skip
    telemetry.shutdown()
    good, bad = SpanStore(tmp_path / "spans.db").trace(TRACE)
    assert (good["name"], good["service"], good["parent_id"]) == ("draft", "runner", "b7ad6b7169203331")
    assert (good["start_ms"], good["duration_ms"], good["attributes"]) == (2.0, 3.5, ATTRIBUTES)
    assert (good["status"], good["error"]) == ("unset", None)
    assert (bad["status"], bad["error"]) == ("error", "ValueError: it broke")
    assert good["span_id"] != bad["span_id"]


def test_a_collector_is_told_of_which_kind_a_recorded_span_is() -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    processor = _CountingProcessor(exporter)
    provider.add_span_processor(processor)
    telemetry = Telemetry(provider.get_tracer("penstock"), None, provider, processor)
    parent = parent_of(PARENT)
    for name, kind in (("wait", SpanKind.CONSUMER), ("draft", SpanKind.INTERNAL)):
        telemetry.record(
            name, parent=parent, started_nanoseconds=0, ended_nanoseconds=1, attributes=ATTRIBUTES, kind=kind
        )
    telemetry.shutdown()
    assert {span.name: span.kind for span in exporter.get_finished_spans()} == {
        "wait": SpanKind.CONSUMER, "draft": SpanKind.INTERNAL,
    }  # fmt: skip


@pytest.mark.parametrize("traceparent", [None, "nonsense", PARENT[:-2] + "00"])
def test_nothing_is_recorded_outside_a_trace_or_in_one_that_is_not_sampled(
    tmp_path: Path, traceparent: str | None
) -> None:
    telemetry = start("runner", store_path=tmp_path / "spans.db", otlp=False)
    telemetry.record(
        "draft", parent=parent_of(traceparent), started_nanoseconds=0, ended_nanoseconds=1, attributes=ATTRIBUTES
    )
    telemetry.shutdown()
    assert SpanStore(tmp_path / "spans.db").trace(TRACE) == []


def test_a_silent_service_records_nothing() -> None:
    silent().record("draft", parent=parent_of(PARENT), started_nanoseconds=0, ended_nanoseconds=1, attributes={})


@pytest.mark.parametrize(
    "traceparent",
    [
        PARENT, PARENT[:-2] + "00", PARENT[:-2] + "ff", PARENT.upper(), PARENT + "\n", f" {PARENT}", f"{PARENT}-more",
        f"01{PARENT[2:]}", f"01{PARENT[2:]}-more", f"ff{PARENT[2:]}", f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{TRACE}-{'0' * 16}-01", "nonsense", "", None,
    ],
)  # fmt: skip
def test_a_parent_is_read_as_the_library_reads_it(traceparent: str | None) -> None:
    context = get_current_span(context_from(traceparent)).get_span_context()
    assert parent_of(traceparent) == (context if context.is_valid else None)
