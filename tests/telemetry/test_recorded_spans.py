"""A span that is over already can be written down in one call, like any other span and much cheaper."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock_backbone.telemetry import SpanStore, parent_of, silent, start

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
