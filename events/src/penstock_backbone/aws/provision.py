"""Creates everything of the inventory on an emulator. In the cloud the Pulumi program does it, from the same inventory."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from penstock_backbone.aws.calls import Calls, Service
from penstock_backbone.aws.errors import AlreadyThere
from penstock_backbone.aws.settings import AwsSettings, Names
from penstock_backbone.errors import Fatal, Invalid, Retryable
from penstock_backbone.inventory import INVENTORY, Inventory, Queue, Rule, Table
from penstock_backbone.ports import Clock
from penstock_backbone.system import SystemClock

TABLE_WAIT_SECONDS = 0.2
BUCKET_REGION_DEFAULT = "us-east-1"
"""Where S3 makes a bucket that names no region; it refuses to be told this one."""
TABLE_WAITS_MAX = 150


async def provision(settings: AwsSettings, inventory: Inventory = INVENTORY, clock: Clock | None = None) -> None:
    """Safe to repeat: what exists stays as it is, queues and rules are brought to the inventory's settings."""
    if not settings.is_emulator:
        raise Invalid("this creates resources on an emulator only: set PENSTOCK_AWS_ENDPOINT, or use `pulumi up`")
    calls = Calls(settings)
    try:
        await create_resources(calls, settings, inventory, clock or SystemClock())
    except Retryable as error:
        raise unreachable(settings) from error
    finally:
        await calls.close()


def unreachable(settings: AwsSettings) -> Fatal:
    if settings.is_emulator:
        return Fatal(
            f"nothing answers as AWS at {settings.endpoint_url}: start the emulator there or correct PENSTOCK_AWS_ENDPOINT"
        )
    return Fatal(f"AWS in {settings.region} does not answer: check this machine's network, AWS_REGION and proxy")


async def create_resources(calls: Calls, settings: AwsSettings, inventory: Inventory, clock: Clock) -> None:
    """As `provision`, wherever `calls` lead."""
    await _Provisioner(calls, settings, inventory, clock).run()


async def create_tables(calls: Calls, settings: AwsSettings, inventory: Inventory, clock: Clock) -> None:
    """The tables alone, for an endpoint that is a DynamoDB and nothing else."""
    await _Provisioner(calls, settings, inventory, clock).tables()


class _Provisioner:
    def __init__(self, calls: Calls, settings: AwsSettings, inventory: Inventory, clock: Clock) -> None:
        self._calls = calls
        self._names = Names(settings.stack, inventory)
        self._region = settings.region
        self._inventory = inventory
        self._clock = clock

    async def run(self) -> None:
        await asyncio.gather(self.tables(), self._queues_and_rules(), self._bucket())

    async def tables(self) -> None:
        await asyncio.gather(*(self._table(table) for table in self._inventory.tables))

    async def _table(self, table: Table) -> None:
        name = self._names.physical(table.name)
        with contextlib.suppress(AlreadyThere):
            await self._calls.call(Service.TABLES, "create_table", **table_arguments(table, name))
        for _ in range(TABLE_WAITS_MAX):
            answer = await self._calls.call(Service.TABLES, "describe_table", TableName=name)
            if answer["Table"]["TableStatus"] == "ACTIVE":
                return
            await self._clock.sleep(TABLE_WAIT_SECONDS)
        raise Fatal(f"the table {name} is still not ready: look at the emulator's log")

    async def _queues_and_rules(self) -> None:
        with contextlib.suppress(AlreadyThere):
            await self._calls.call(Service.BUS, "create_event_bus", Name=self._names.bus)
        rules: dict[str, list[str]] = {}
        for rule in self._inventory.rules:
            rules.setdefault(rule.queue, []).append(await self._rule(rule))
        queues = self._inventory.queues
        arns = await asyncio.gather(*(self._queue(queue, rules.get(queue.name, [])) for queue in queues))
        arn_by_queue = {queue.name: arn for queue, arn in zip(queues, arns, strict=True)}
        await asyncio.gather(*(self._target(rule, arn_by_queue[rule.queue]) for rule in self._inventory.rules))

    async def _rule(self, rule: Rule) -> str:
        answer = await self._calls.call(
            Service.BUS,
            "put_rule",
            Name=self._names.physical(rule.name),
            EventBusName=self._names.bus,
            EventPattern=json.dumps(rule.pattern),
            Description=rule.purpose,
        )
        arn: str = answer["RuleArn"]
        return arn

    async def _target(self, rule: Rule, queue_arn: str) -> None:
        answer = await self._calls.call(
            Service.BUS,
            "put_targets",
            Rule=self._names.physical(rule.name),
            EventBusName=self._names.bus,
            Targets=[{"Id": rule.queue, "Arn": queue_arn}],
        )
        if answer.get("FailedEntryCount"):
            raise Fatal(f"the rule {rule.name} could not be pointed at its queue: {answer['FailedEntries']}")

    async def _queue(self, queue: Queue, rule_arns: list[str]) -> str:
        attributes = {
            "VisibilityTimeout": str(queue.visibility_seconds),
            "MessageRetentionPeriod": str(queue.retention_seconds),
        }
        if queue.dead_letter:
            _, dlq_arn = await self._one_queue(queue.dlq, {"MessageRetentionPeriod": str(14 * 24 * 3600)})
            redrive = {"deadLetterTargetArn": dlq_arn, "maxReceiveCount": queue.receives_max}
            attributes["RedrivePolicy"] = json.dumps(redrive)
        address, arn = await self._one_queue(queue.name, attributes)
        if rule_arns:
            policy = json.dumps(queue_policy(arn, rule_arns))
            await self._calls.call(
                Service.QUEUES, "set_queue_attributes", QueueUrl=address, Attributes={"Policy": policy}
            )
        return arn

    async def _one_queue(self, name: str, attributes: dict[str, str]) -> tuple[str, str]:
        """Its address and ARN. Created bare and then set, because creating with other settings is refused."""
        answer = await self._calls.call(Service.QUEUES, "create_queue", QueueName=self._names.physical(name))
        address: str = answer["QueueUrl"]
        await self._calls.call(Service.QUEUES, "set_queue_attributes", QueueUrl=address, Attributes=attributes)
        answer = await self._calls.call(
            Service.QUEUES, "get_queue_attributes", QueueUrl=address, AttributeNames=["QueueArn"]
        )
        return address, answer["Attributes"]["QueueArn"]

    async def _bucket(self) -> None:
        arguments: dict[str, Any] = {"Bucket": self._names.bucket}
        if self._region != BUCKET_REGION_DEFAULT:
            arguments["CreateBucketConfiguration"] = {"LocationConstraint": self._region}
        with contextlib.suppress(AlreadyThere):
            await self._calls.call(Service.BLOBS, "create_bucket", **arguments)


def table_arguments(table: Table, name: str) -> dict[str, Any]:
    """CreateTable's arguments."""
    attributes = {"pk", "sk"}
    for index in table.indexes:
        attributes |= {index.hash_attribute, index.range_attribute}
    arguments: dict[str, Any] = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": each, "AttributeType": "S"} for each in sorted(attributes)],
        "KeySchema": _key_schema("pk", "sk"),
    }
    if table.streamed:
        arguments["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    if table.indexes:
        arguments["GlobalSecondaryIndexes"] = [
            {
                "IndexName": index.name,
                "KeySchema": _key_schema(index.hash_attribute, index.range_attribute),
                "Projection": {"ProjectionType": "ALL"},
            }
            for index in table.indexes
        ]
    return arguments


def queue_policy(queue_arn: str, rule_arns: list[str]) -> dict[str, Any]:
    """EventBridge may send to the queue, on behalf of these rules only."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue_arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": rule_arns}},
            }
        ],
    }


def _key_schema(hash_name: str, range_name: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": hash_name, "KeyType": "HASH"},
        {"AttributeName": range_name, "KeyType": "RANGE"},
    ]
