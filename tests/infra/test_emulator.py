"""The cloud and an emulator get the same resources: both are made from the inventory, by different hands."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from tests.infra.recorder import REGION, Program, arn

from penstock_backbone.aws import provision
from penstock_backbone.aws.calls import Service
from penstock_backbone.aws.settings import AwsSettings
from penstock_backbone.inventory import INVENTORY

pytestmark = pytest.mark.anyio

QUEUE = "aws:sqs/queue:Queue"
RULE = "aws:cloudwatch/eventRule:EventRule"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Emulator:
    """Answers as an emulator that makes everything at once, and keeps what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    async def call(self, service: Service, operation: str, **arguments: Any) -> Mapping[str, Any]:
        del service
        self.asked.append((operation, arguments))
        match operation:
            case "describe_table":
                return {"Table": {"TableStatus": "ACTIVE"}}
            case "put_rule":
                return {"RuleArn": arn(RULE, arguments["Name"])}
            case "create_queue":
                return {"QueueUrl": arguments["QueueName"]}
            case "get_queue_attributes":
                return {"Attributes": {"QueueArn": arn(QUEUE, arguments["QueueUrl"])}}
        return {}

    async def close(self) -> None:
        pass

    def each(self, operation: str) -> Iterator[dict[str, Any]]:
        return (arguments for asked, arguments in self.asked if asked == operation)

    def queues(self) -> dict[str, dict[str, str]]:
        """Attributes by name, as the last word on each."""
        found: dict[str, dict[str, str]] = {asked["QueueName"]: {} for asked in self.each("create_queue")}
        for asked in self.each("set_queue_attributes"):
            found[asked["QueueUrl"]] |= asked["Attributes"]
        return found


@pytest.fixture
async def emulator(dev: Program, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    settings = AwsSettings(dev.stack, REGION, "http://127.0.0.1:4566")
    emulator = Emulator()
    monkeypatch.setattr(provision, "Calls", lambda _: emulator)
    await provision.provision(settings, INVENTORY)
    return emulator


async def test_the_same_tables_with_the_same_keys_indexes_and_streams(dev: Program, emulator: Emulator) -> None:
    in_the_cloud = {
        table.inputs["name"]: (
            {entry["name"]: entry["type"] for entry in table.inputs["attributes"]},
            [(table.inputs["hashKey"], "HASH"), (table.inputs["rangeKey"], "RANGE")],
            table.inputs.get("streamViewType"),
            [
                (
                    index["name"],
                    [(key["attributeName"], key["keyType"]) for key in index["keySchemas"]],
                    index["projectionType"],
                )
                for index in table.inputs.get("globalSecondaryIndexes", [])
            ],
        )
        for table in dev.of_type("Table")
    }
    on_the_emulator = {
        table["TableName"]: (
            {entry["AttributeName"]: entry["AttributeType"] for entry in table["AttributeDefinitions"]},
            [(key["AttributeName"], key["KeyType"]) for key in table["KeySchema"]],
            table.get("StreamSpecification", {}).get("StreamViewType"),
            [
                (
                    index["IndexName"],
                    [(key["AttributeName"], key["KeyType"]) for key in index["KeySchema"]],
                    index["Projection"]["ProjectionType"],
                )
                for index in table.get("GlobalSecondaryIndexes", [])
            ],
        )
        for table in emulator.each("create_table")
    }
    assert on_the_emulator == in_the_cloud


async def test_the_same_queues_with_the_same_times_and_dead_letter_queues(dev: Program, emulator: Emulator) -> None:
    def redrive(text: str | None) -> Any:
        return json.loads(text) if text else None

    in_the_cloud = {
        queue.inputs["name"]: (
            queue.inputs.get("visibilityTimeoutSeconds"),
            queue.inputs["messageRetentionSeconds"],
            redrive(queue.inputs.get("redrivePolicy")),
        )
        for queue in dev.of_type("Queue")
    }
    on_the_emulator = {
        name: (
            int(attributes["VisibilityTimeout"]) if "VisibilityTimeout" in attributes else None,
            int(attributes["MessageRetentionPeriod"]),
            redrive(attributes.get("RedrivePolicy")),
        )
        for name, attributes in emulator.queues().items()
    }
    assert on_the_emulator == in_the_cloud


async def test_the_same_bus_rules_targets_and_bucket(dev: Program, emulator: Emulator) -> None:
    assert {asked["Name"] for asked in emulator.each("create_event_bus")} == {
        bus.inputs["name"] for bus in dev.of_type("EventBus")
    }
    assert {(asked["Name"], asked["EventBusName"], asked["EventPattern"]) for asked in emulator.each("put_rule")} == {
        (rule.inputs["name"], rule.inputs["eventBusName"], rule.inputs["eventPattern"])
        for rule in dev.of_type("EventRule")
    }
    assert {
        (asked["Rule"], target["Id"], target["Arn"])
        for asked in emulator.each("put_targets")
        for target in asked["Targets"]
    } == {
        (target.inputs["rule"], target.inputs["targetId"], target.inputs["arn"])
        for target in dev.of_type("EventTarget")
    }
    assert {asked["Bucket"] for asked in emulator.each("create_bucket")} == {
        bucket.inputs["bucket"] for bucket in dev.of_type("Bucket")
    }


async def test_the_bus_may_send_to_the_same_queues_under_the_same_condition(dev: Program, emulator: Emulator) -> None:
    for name, attributes in emulator.queues().items():
        if "Policy" in attributes:
            policy = dev.one("QueuePolicy", name.removeprefix(f"{dev.stack}-")).inputs["policy"]
            assert json.loads(attributes["Policy"]) == json.loads(policy)
