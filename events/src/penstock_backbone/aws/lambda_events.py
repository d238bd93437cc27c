"""Lambda's event shapes to the ports' values and back: Lambda brings them, and the local host makes them for the same handlers.

Pure. Powertools' data classes are left out on purpose: they cost 190 ms at a cold start, and here they would
only rename dict keys.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from penstock_backbone.aws.settings import EMULATOR_REGION, Names
from penstock_backbone.aws.values import Typed, from_item, to_item, to_key
from penstock_backbone.errors import Invalid
from penstock_backbone.vocabulary import Key, Message, StreamRecord

LOCAL_ACCOUNT = "000000000000"


def stream_records(event: Mapping[str, Any], names: Names) -> list[StreamRecord]:
    """From the event of a DynamoDB stream. `sequence` is what a batch item failure must name."""
    return [_stream_record(raw, names) for raw in event["Records"]]


def queue_messages(event: Mapping[str, Any]) -> list[Message]:
    """From the event of an SQS queue. `id` is what a batch item failure must name."""
    return [
        Message(
            id=raw["messageId"],
            receipt=raw["receiptHandle"],
            body=raw["body"],
            receives=int(raw["attributes"].get("ApproximateReceiveCount", 1)),
            group=raw["attributes"].get("MessageGroupId", ""),
        )
        for raw in event["Records"]
    ]


def stream_event(records: Sequence[StreamRecord], names: Names, region: str = EMULATOR_REGION) -> dict[str, Any]:
    """As a stream with NEW_IMAGE gives it; whether an item was new is not known here, so it is called modified."""
    return {"Records": [_raw_record(record, names, region) for record in records]}


def queue_event(messages: Sequence[Message], queue: str, names: Names, region: str = EMULATOR_REGION) -> dict[str, Any]:
    arn = f"arn:aws:sqs:{region}:{LOCAL_ACCOUNT}:{names.physical(queue)}"
    return {
        "Records": [
            {
                "messageId": message.id,
                "receiptHandle": message.receipt,
                "body": message.body,
                "attributes": {"ApproximateReceiveCount": str(message.receives)}
                | ({"MessageGroupId": message.group} if message.group else {}),
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": arn,
                "awsRegion": region,
            }
            for message in messages
        ]
    }


def _stream_record(raw: Mapping[str, Any], names: Names) -> StreamRecord:
    change = raw["dynamodb"]
    key = Key(_table(raw["eventSourceARN"], names), change["Keys"]["pk"]["S"], change["Keys"]["sk"]["S"])
    item = from_item(change["NewImage"]) if "NewImage" in change else None
    return StreamRecord(change["SequenceNumber"], key, item)


def _table(arn: str, names: Names) -> str:
    """arn:aws:dynamodb:<region>:<account>:table/<physical name>/stream/<label>"""
    parts = arn.split("/")
    if len(parts) < 2:
        raise Invalid(f"{arn!r} does not name a table's stream")
    return names.logical(parts[1])


def _raw_record(record: StreamRecord, names: Names, region: str) -> dict[str, Any]:
    table = names.physical(record.key.table)
    change: dict[str, Any] = {
        "Keys": to_key(record.key),
        "SequenceNumber": record.sequence,
        "StreamViewType": "NEW_IMAGE",
    }
    if record.item is not None:
        change["NewImage"] = {name: _textual(typed) for name, typed in to_item(record.item).items()}
    return {
        "eventID": record.sequence,
        "eventName": "REMOVE" if record.item is None else "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": region,
        "dynamodb": change,
        "eventSourceARN": f"arn:aws:dynamodb:{region}:{LOCAL_ACCOUNT}:table/{table}/stream/local",
    }


def _textual(typed: Typed) -> Typed:
    """Lambda's events are JSON: binary values are base64 text in them."""
    ((letter, value),) = typed.items()
    if letter == "B":
        return {"B": base64.b64encode(value).decode()}
    if letter == "L":
        return {"L": [_textual(part) for part in value]}
    if letter == "M":
        return {"M": {name: _textual(part) for name, part in value.items()}}
    return typed
