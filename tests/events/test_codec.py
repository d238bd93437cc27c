"""Decoding what a peer may send: a newer event is a value, nonsense is a value, and nothing is an exception."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from penstock_events.codec import Event, EventTooLarge, Malformed, UnknownEvent, decode, encode
from penstock_events.envelope import EVENT_BYTES_MAX, Metadata, event_id
from penstock_events.facts import FACTS, RunCancelled, RunFailed, StageCompleted, Usage

AT = datetime(2026, 11, 24, 2, 47, 13, 123000, UTC)


def metadata(kind: str, **changes: Any) -> Metadata:
    fields: dict[str, Any] = {
        "event_id": event_id("run_1", 7), "type": kind, "version": 1, "tenant": "acme", "project_id": "prj_1",
        "run_id": "run_1", "sequence": 7, "occurred_at": AT,
    }  # fmt: skip
    return Metadata(**(fields | changes))


def raw(kind: str = "RunCancelled", data: Any = None, **changes: Any) -> dict[str, Any]:
    """An event as a peer might write it: `changes` replace fields of the metadata, None removes them."""
    fields = metadata("RunCancelled").model_dump(mode="json") | {"type": kind} | changes
    kept = {name: value for name, value in fields.items() if value is not None}
    return {"metadata": kept, "data": {"reason": "enough"} if data is None else data}


def decoded(value: Any) -> Event | UnknownEvent | Malformed:
    return decode(json.dumps(value))


def test_an_encoded_event_decodes_to_itself() -> None:
    usage = Usage(input_tokens=3, cost_microusd=10)
    fact = StageCompleted(stage="设计", attempt=1, duration_ms=0, output_bytes=9, usage=usage)
    event = Event(metadata("StageCompleted", traceparent="00-aa-bb-01", cause_id="run_1:6"), fact)
    assert decode(encode(event)) == event
    assert decode(encode(event).encode()) == event


def test_the_encoded_text_is_compact_and_keeps_other_alphabets_readable() -> None:
    text = encode(Event(metadata("RunCancelled"), RunCancelled(reason="够了")))
    assert "够了" in text
    assert ": " not in text
    assert list(json.loads(text)) == ["metadata", "data"]


def test_a_type_this_reader_does_not_know_is_passed_on_unchanged() -> None:
    event = decoded(raw("RunTeleported", {"to": "mars", "by": [1, None]}))
    assert isinstance(event, UnknownEvent)
    assert event.data == {"to": "mars", "by": [1, None]}
    assert decode(encode(event)) == event


@pytest.mark.parametrize("kind", FACTS)
def test_a_newer_version_of_a_known_type_is_unknown_and_its_data_is_not_read(kind: str) -> None:
    newer = FACTS[kind].version + 1
    event = decoded(raw(kind, {"everything": "changed"}, version=newer))
    assert isinstance(event, UnknownEvent)
    assert event.metadata.version == newer


def test_fields_this_reader_does_not_know_are_ignored() -> None:
    value = raw(data={"reason": "enough", "mood": "fine"})
    value["metadata"]["region"] = "somewhere"
    value["signature"] = "abc"
    assert decoded(value) == Event(metadata("RunCancelled"), RunCancelled(reason="enough"))


def test_an_optional_field_may_be_absent_or_null() -> None:
    absent = decoded(raw("RunFailed", {"error": "E", "message": "m"}))
    null = decoded(raw("RunFailed", {"error": "E", "message": "m", "stage": None}))
    assert absent == null == Event(metadata("RunFailed"), RunFailed(error="E", message="m"))


@pytest.mark.parametrize(
    "field", ["event_id", "type", "version", "tenant", "project_id", "run_id", "sequence", "occurred_at"]
)
def test_an_event_without_a_field_of_the_envelope_is_malformed(field: str) -> None:
    value = raw()
    del value["metadata"][field]
    answer = decoded(value)
    assert isinstance(answer, Malformed)
    assert field in answer.reason


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sequence", 0), ("sequence", -1), ("sequence", "seven"), ("sequence", 1.5), ("version", 0), ("tenant", 5),
        ("occurred_at", "yesterday"), ("type", ["RunCancelled"]), ("run_id", {}), ("traceparent", 1),
    ],
)  # fmt: skip
def test_a_field_of_the_envelope_with_a_wrong_value_is_malformed(field: str, value: Any) -> None:
    assert isinstance(decoded(raw(**{field: value})), Malformed)


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "null", "[]", "7", '"text"', "{}", '{"metadata": {}}', '{"metadata": null, "data": {}}',
        b"\xff\xfe\x00", b"\x00", b"", "\ufeff{}",
    ],
)  # fmt: skip
def test_what_is_no_event_at_all_is_malformed_with_a_reason(text: str | bytes) -> None:
    answer = decode(text)
    assert isinstance(answer, Malformed)
    assert answer.reason


@pytest.mark.parametrize("data", [[], "text", 1, True])
def test_data_that_is_no_object_is_malformed(data: Any) -> None:
    assert isinstance(decoded(raw(data=data)), Malformed)
    assert isinstance(decoded(raw("RunTeleported", data=data)), Malformed)


def test_a_known_fact_with_wrong_fields_is_malformed_and_the_reason_names_the_first() -> None:
    answer = decoded(raw("RunAdmitted", {"fence": 0, "waited_ms": -1}))
    assert isinstance(answer, Malformed)
    assert "RunAdmitted" in answer.reason
    assert "fence" in answer.reason


def test_a_reason_is_never_as_long_as_the_message() -> None:
    answer = decode("x" * 100_000)
    assert isinstance(answer, Malformed)
    assert len(answer.reason) < 300


def sized(message_bytes: int) -> Event:
    return Event(metadata("RunFailed"), RunFailed(error="E", message="x" * message_bytes))


def test_an_event_may_fill_its_limit_to_the_last_byte_and_not_one_more() -> None:
    room = EVENT_BYTES_MAX - len(encode(sized(0)).encode())
    assert len(encode(sized(room)).encode()) == EVENT_BYTES_MAX
    with pytest.raises(EventTooLarge, match="RunFailed of run_1"):
        encode(sized(room + 1))


def test_the_limit_counts_bytes_and_not_characters() -> None:
    room = EVENT_BYTES_MAX - len(encode(sized(0)).encode())
    event = Event(metadata("RunFailed"), RunFailed(error="E", message="好" * (room // 3 + 1)))
    with pytest.raises(EventTooLarge):
        encode(event)


@pytest.mark.parametrize("depth", [50, 200, 900, 5_000, 100_000])
def test_nesting_of_any_depth_is_a_value(depth: int) -> None:
    text = json.dumps(raw("RunTeleported")).replace('{"reason": "enough"}', '{"a":' * depth + "1" + "}" * depth)
    assert isinstance(decode(text), UnknownEvent | Malformed)
    lists = json.dumps(raw()).replace('"enough"', "[" * depth + "]" * depth)
    assert isinstance(decode(lists), Malformed)


def test_the_same_fact_has_the_same_id_whoever_publishes_it() -> None:
    assert event_id("run_1", 7) == event_id("run_1", 7) == "run_1:7"
