"""Lambda's event shapes and the ports' values say the same."""

from __future__ import annotations

import json

import pytest
from tests.aws.fakes import NAMES

from penstock_backbone.aws.lambda_events import queue_event, queue_messages, stream_event, stream_records
from penstock_backbone.errors import Fatal
from penstock_backbone.vocabulary import Key, Message, StreamRecord

FROM_AWS = {
    "Records": [
        {
            "eventID": "c4ca4238a0b923820dcc509a6f75849b",
            "eventName": "INSERT",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": "eu-central-1",
            "dynamodb": {
                "ApproximateCreationDateTime": 1764000000.0,
                "Keys": {"pk": {"S": "run_1"}, "sk": {"S": "RUN"}},
                "NewImage": {"pk": {"S": "run_1"}, "sk": {"S": "RUN"}, "seq": {"N": "2"}, "b": {"B": "YWJj"}},
                "SequenceNumber": "4421584500000000017450439091",
                "SizeBytes": 26,
                "StreamViewType": "NEW_IMAGE",
            },
            "eventSourceARN": "arn:aws:dynamodb:eu-central-1:123456789012:table/dev-runs/stream/2026-11-24T00:48:05.899",
        },
        {
            "eventName": "REMOVE",
            "dynamodb": {
                "Keys": {"pk": {"S": "TK#0"}, "sk": {"S": "acme#3#run_1"}},
                "SequenceNumber": "4421584500000000017450439092",
            },
            "eventSourceARN": "arn:aws:dynamodb:eu-central-1:123456789012:table/dev-tokens/stream/2026",
        },
    ]
}

RECORDS = [
    StreamRecord(
        "1", Key("runs", "run_1", "RUN"), {"pk": "run_1", "sk": "RUN", "n": 1, "m": {"l": [b"x", None, True]}}
    ),
    StreamRecord("2", Key("tokens", "TK#0", "a"), None),
]
MESSAGES = [Message("m-1", "r-1", "{}", 3, "acme"), Message("m-2", "r-2", "text", 1, "")]


def test_a_stream_event_of_lambda_is_read_as_records() -> None:
    assert stream_records(FROM_AWS, NAMES) == [
        StreamRecord(
            "4421584500000000017450439091",
            Key("runs", "run_1", "RUN"),
            {"pk": "run_1", "sk": "RUN", "seq": 2, "b": b"abc"},
        ),
        StreamRecord("4421584500000000017450439092", Key("tokens", "TK#0", "acme#3#run_1"), None),
    ]


def test_records_survive_the_way_through_a_lambda_event() -> None:
    event = json.loads(json.dumps(stream_event(RECORDS, NAMES)))
    assert stream_records(event, NAMES) == RECORDS


def test_messages_survive_the_way_through_a_lambda_event() -> None:
    event = json.loads(json.dumps(queue_event(MESSAGES, "admission", NAMES)))
    assert queue_messages(event) == MESSAGES
    assert event["Records"][0]["eventSourceARN"].endswith(":dev-admission")


def test_a_record_of_another_stack_is_refused() -> None:
    event = stream_event(RECORDS, NAMES)
    event["Records"][0]["eventSourceARN"] = "arn:aws:dynamodb:eu-central-1:1:table/prod-runs/stream/x"
    with pytest.raises(Fatal, match="PENSTOCK_STACK"):
        stream_records(event, NAMES)
