"""Spans reach the store in the background, and their loss never reaches the service."""

from __future__ import annotations

import multiprocessing
import sqlite3
from pathlib import Path

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from penstock_backbone.system import SystemClock
from penstock_backbone.telemetry import SpanStore, context_from, current_traceparent, silent, start, tracing
from penstock_backbone.telemetry.span_store import StoredSpan

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def test_a_span_is_stored_with_its_parent_service_duration_and_attributes(tmp_path: Path) -> None:
    telemetry = start("api", store_path=tmp_path / "spans.db", otlp=False)
    span = telemetry.tracer.start_span("POST /v1/projects", context=context_from(PARENT), kind=SpanKind.SERVER)
    span.set_attribute("http.response.status_code", 201)
    span.set_status(StatusCode.ERROR, "it broke")
    span.end()
    telemetry.shutdown()
    (stored,) = SpanStore(tmp_path / "spans.db").trace(TRACE)
    assert stored["name"] == "POST /v1/projects"
    assert stored["service"] == "api"
    assert stored["parent_id"] == "b7ad6b7169203331"
    assert stored["duration_ms"] >= 0
    assert (stored["status"], stored["error"]) == ("error", "it broke")
    assert stored["attributes"] == {"http.response.status_code": 201}
    assert telemetry.spans_dropped == 0


def test_a_traceparent_carries_the_trace_to_the_next_service(tmp_path: Path) -> None:
    first = start("api", store_path=tmp_path / "spans.db", otlp=False)
    second = start("runner", store_path=tmp_path / "spans.db", otlp=False)
    root = first.tracer.start_span("accept", context=context_from(None))
    child = second.tracer.start_span("stage", context=context_from(current_traceparent(root)))
    child.end()
    root.end()
    first.shutdown()
    second.shutdown()
    spans = SpanStore(tmp_path / "spans.db").trace(f"{root.get_span_context().trace_id:032x}")
    assert [(span["name"], span["service"]) for span in spans] == [("accept", "api"), ("stage", "runner")]
    assert spans[1]["parent_id"] == spans[0]["span_id"]


@pytest.mark.parametrize("malformed", [None, "", "nonsense", "00-0-0-00", f"00-{TRACE}-0000000000000000-01"])
def test_a_missing_or_malformed_traceparent_begins_a_new_trace(malformed: str | None) -> None:
    telemetry = start("api", store_path=None, otlp=False)
    span = telemetry.tracer.start_span("accept", context=context_from(malformed))
    traceparent = current_traceparent(span)
    assert traceparent is not None
    assert TRACE not in traceparent
    telemetry.shutdown()


def test_silent_spans_have_no_traceparent() -> None:
    telemetry = silent()
    assert current_traceparent(telemetry.tracer.start_span("accept", context=context_from(PARENT))) in {None, PARENT}
    assert current_traceparent(telemetry.tracer.start_span("accept", context=context_from(None))) is None
    telemetry.shutdown()


def test_the_oldest_traces_make_room_whole(tmp_path: Path) -> None:
    store = SpanStore(tmp_path / "spans.db", spans_max=100)
    for number in range(60):
        store.write(stored_spans(f"{number:032x}", 5))
        assert count(tmp_path / "spans.db") <= 100
    kept = [number for number in range(60) if store.trace(f"{number:032x}")]
    assert kept == list(range(kept[0], 60))
    assert all(len(store.trace(f"{number:032x}")) == 5 for number in kept)
    assert len(kept) >= 15
    store.close()


def test_an_unwritable_place_costs_spans_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("in the way")
    telemetry = start("api", store_path=tmp_path / "a-file" / "spans.db", otlp=False)
    telemetry.tracer.start_span("accept", context=context_from(None)).end()
    telemetry.shutdown()
    assert telemetry.spans_dropped == 1
    assert telemetry.store is not None
    assert telemetry.store.trace(TRACE) == []


def test_a_full_disk_costs_spans_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "spans.db"
    store = SpanStore(path)
    store.write(stored_spans(TRACE, 1))
    connection = store._connection
    assert connection is not None
    connection.execute(f"PRAGMA max_page_count={connection.execute('PRAGMA page_count').fetchone()[0]}")
    store.write(stored_spans(TRACE, 2_000))
    # The connection was opened again without the artificial limit, so only a lasting shortage loses spans.
    assert store.dropped == 0
    assert len(store.trace(TRACE)) == 2_001
    store.close()


def test_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "spans.db"
    path.write_bytes(b"this is not a database, and it is long enough to be taken for one" * 40)
    store = SpanStore(path)
    assert store.trace(TRACE) == []
    store.write(stored_spans(TRACE, 3))
    assert len(store.trace(TRACE)) == 3
    store.close()


def test_a_full_queue_drops_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "QUEUE_SPANS_MAX", 300)
    telemetry = start("api", store_path=tmp_path / "spans.db", otlp=False)
    blocker = sqlite3.connect(tmp_path / "spans.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    for _ in range(2_000):
        telemetry.tracer.start_span("stage", context=context_from(PARENT)).end()
    blocker.execute("ROLLBACK")
    blocker.close()
    telemetry.shutdown()
    kept = len(SpanStore(tmp_path / "spans.db").trace(TRACE))
    assert telemetry.spans_dropped > 0
    assert kept + telemetry.spans_dropped == 2_000


def test_several_processes_write_one_store(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=write_many, args=(tmp_path / "spans.db", number)) for number in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(20)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert count(tmp_path / "spans.db") == 3 * 40 * 10


def test_a_collector_that_is_not_there_does_not_delay_the_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    telemetry = start("api", store_path=None, otlp=True)
    assert telemetry.store is None
    telemetry.tracer.start_span("accept", context=context_from(None)).end()
    clock = SystemClock()
    begun = clock.monotonic()
    telemetry.shutdown()
    assert clock.monotonic() - begun < tracing.SHUTDOWN_SECONDS_MAX + 0.5


def write_many(path: Path, number: int) -> None:
    store = SpanStore(path)
    for batch in range(40):
        store.write(stored_spans(f"{number * 1000 + batch:032x}", 10))
    store.close()
    assert store.dropped == 0


def stored_spans(trace_id: str, spans: int) -> list[StoredSpan]:
    return [
        (trace_id, {"name": "stage", "span_id": f"{number:016x}", "start_ms": float(number), "attributes": {"a": 1}})
        for number in range(spans)
    ]


def count(path: Path) -> int:
    connection = sqlite3.connect(path)
    (spans,) = connection.execute("SELECT count(*) FROM spans").fetchone()
    connection.close()
    return int(spans)
