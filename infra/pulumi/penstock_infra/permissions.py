"""What each running unit may do, and nothing more: the rights as a table, and the roles made from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws

from penstock_backbone.inventory import (
    ADMISSION_QUEUE,
    DISPATCH_QUEUE,
    DISPATCHER,
    EVENT_SOURCE,
    INVENTORY,
    LIMITS,
    LIMITS_WATCHER,
    PROJECTS,
    RELAY,
    RUNS,
    SESSIONS,
    TOKENS,
    Consumer,
)
from penstock_backbone.records.waits import TIMERS_PK

ADMISSION = "admission"
SWEEP = "sweep"
API = "api"
RUNNER = "runner"

GET = ("dynamodb:BatchGetItem", "dynamodb:GetItem")
QUERY = ("dynamodb:Query",)
PUT = ("dynamodb:PutItem",)
UPDATE = ("dynamodb:PartiQLUpdate", "dynamodb:UpdateItem")
"""Batches of conditional updates travel as PartiQL statements, which IAM knows under a name of their own."""
DELETE = ("dynamodb:DeleteItem",)
CHECK = ("dynamodb:ConditionCheckItem",)
"""A part of a transaction that changes nothing."""
POLL_STREAM = (
    "dynamodb:DescribeStream",
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:ListStreams",
)
POLL_QUEUE = ("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage")
"""What Lambda's event source mappings do in the name of the function."""
SEND = ("sqs:GetQueueUrl", "sqs:SendMessage")
RECEIVE = ("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage")
PROFILE_AREAS = frozenset({"us", "eu", "apac", "jp", "au", "ca", "us-gov", "global"})
"""What the ids of Bedrock's own inference profiles begin with."""


@dataclass(frozen=True, slots=True)
class Rights:
    """Names are the inventory's. `indexes` are tables whose indexes may be queried, `timers` what may be
    done to the timers among the runs and to no run, `consumer` is a reader of streams,
    `polled` a queue that a mapping reads. Nobody gets Scan: no condition could hold it.
    """

    tables: Mapping[str, tuple[str, ...]]
    indexes: tuple[str, ...] = ()
    timers: tuple[str, ...] = ()
    consumer: str | None = None
    polled: str | None = None
    sends: tuple[str, ...] = ()
    receives: tuple[str, ...] = ()
    publishes: bool = False
    blobs: tuple[str, ...] = ()


RIGHTS: Mapping[str, Rights] = {
    API: Rights(
        tables={
            PROJECTS: GET + PUT,
            RUNS: GET + PUT + UPDATE,
            TOKENS: GET,
            SESSIONS: GET + QUERY,
            LIMITS: GET + QUERY + PUT,
        },
        indexes=(PROJECTS, RUNS),
        blobs=("s3:GetObject",),
    ),
    RUNNER: Rights(
        tables={PROJECTS: GET, RUNS: GET + UPDATE, SESSIONS: GET + PUT + UPDATE},
        timers=PUT,
        receives=(DISPATCH_QUEUE,),
        blobs=("s3:GetObject", "s3:PutObject"),
    ),
    RELAY: Rights(tables={SESSIONS: GET}, consumer=RELAY, publishes=True),
    DISPATCHER: Rights(tables={SESSIONS: GET}, consumer=DISPATCHER, sends=(DISPATCH_QUEUE,)),
    LIMITS_WATCHER: Rights(tables={SESSIONS: GET}, consumer=LIMITS_WATCHER, sends=(ADMISSION_QUEUE,)),
    ADMISSION: Rights(
        tables={
            PROJECTS: GET,
            RUNS: GET + PUT + UPDATE,
            TOKENS: GET + QUERY + PUT + UPDATE + DELETE + CHECK,
            SESSIONS: GET + QUERY,
            LIMITS: QUERY + PUT + CHECK,
        },
        polled=ADMISSION_QUEUE,
    ),
    SWEEP: Rights(
        tables={
            RUNS: GET + UPDATE,
            TOKENS: GET + QUERY + PUT + UPDATE + DELETE + CHECK,
            SESSIONS: GET + QUERY + UPDATE + DELETE,
            LIMITS: QUERY + PUT + CHECK,
        },
        timers=QUERY + DELETE,
        sends=(DISPATCH_QUEUE,),
    ),
}
"""Every unit that runs with a role of its own. Only the orchestrator's units may change tokens.

Each may get from sessions, because the aws engine asks there at its start whether the stack exists.
"""


@dataclass(frozen=True, slots=True)
class Statement:
    """One Allow of a role's policy. Resources are ARNs; conditions as IAM writes them."""

    actions: Sequence[str]
    resources: Sequence[pulumi.Input[str]]
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def as_policy(self) -> dict[str, Any]:
        text: dict[str, Any] = {"Effect": "Allow", "Action": list(self.actions), "Resource": list(self.resources)}
        return text | ({"Condition": dict(self.conditions)} if self.conditions else {})


def policy(statements: Sequence[Mapping[str, Any]]) -> pulumi.Output[str]:
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": list(statements)})


@dataclass(frozen=True, slots=True)
class Resources:
    """What the rights are about: ARNs by the inventory's names."""

    tables: Mapping[str, pulumi.Output[str]]
    streams: Mapping[str, pulumi.Output[str]]
    queues: Mapping[str, pulumi.Output[str]]
    bus: pulumi.Output[str]
    bucket: pulumi.Output[str]


def statements(rights: Rights, resources: Resources) -> list[Statement]:
    """One statement a table, queue or stream, so that each grant can be read alone."""
    found = [Statement(actions, [resources.tables[table]]) for table, actions in rights.tables.items()]
    if rights.timers:
        only_timers = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": TIMERS_PK}}
        found.append(Statement(rights.timers, [resources.tables[RUNS]], only_timers))
    found += [
        Statement(QUERY, [pulumi.Output.concat(resources.tables[table], "/index/", index.name)])
        for table in rights.indexes
        for index in INVENTORY.table(table).indexes
    ]
    if rights.consumer is not None:
        found += _consumer_statements(INVENTORY.consumer(rights.consumer), resources)
    if rights.polled is not None:
        found.append(Statement(POLL_QUEUE, [resources.queues[rights.polled]]))
    found += [Statement(SEND, [resources.queues[queue]]) for queue in rights.sends]
    found += [Statement(RECEIVE, [resources.queues[queue]]) for queue in rights.receives]
    if rights.publishes:
        only_ours = {"StringEquals": {"events:source": EVENT_SOURCE}}
        found.append(Statement(("events:PutEvents",), [resources.bus], only_ours))
    if rights.blobs:
        found.append(Statement(rights.blobs, [pulumi.Output.concat(resources.bucket, "/*")]))
        # Without it S3 answers "forbidden" where a file is missing.
        found.append(Statement(("s3:ListBucket",), [resources.bucket]))
    return found


def unit_role(
    name: str,
    *,
    service: str,
    allowed: Sequence[Statement],
    account: pulumi.Input[str] | None = None,
    parent: pulumi.Resource,
) -> pulumi.Output[str]:
    """The ARN of a role that `service` may assume; with `account`, only on behalf of this account.

    The ARN is known once the policy is attached: AWS refuses a mapping whose role cannot read its source yet.
    """
    trust: dict[str, Any] = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    if account is not None:
        trust["Condition"] = {"StringEquals": {"aws:SourceAccount": account}}
    role = aws.iam.Role(name, assume_role_policy=policy([trust]), opts=pulumi.ResourceOptions(parent=parent))
    document = policy([statement.as_policy() for statement in allowed])
    attached = aws.iam.RolePolicy(name, role=role.id, policy=document, opts=pulumi.ResourceOptions(parent=role))
    return pulumi.Output.all(role.arn, attached.id).apply(lambda known: str(known[0]))


def ask_bedrock(model: str, region: str, account: pulumi.Input[str]) -> Statement:
    """A model of this region; or an inference profile that AWS defines, and its model in each region to which the profile
    leads. Converse's stream is what this action allows."""
    action = ("bedrock:InvokeModelWithResponseStream",)
    area, _, inner = model.partition(".")
    if area not in PROFILE_AREAS:
        return Statement(action, [f"arn:aws:bedrock:{region}::foundation-model/{model}"])
    profile = pulumi.Output.concat(f"arn:aws:bedrock:{region}:", account, f":inference-profile/{model}")
    return Statement(action, [profile, f"arn:aws:bedrock:*::foundation-model/{inner}"])


def write_log(log_group: aws.cloudwatch.LogGroup) -> Statement:
    """Streams are made by the writer, so the resource ends in every stream of this one group."""
    return Statement(("logs:CreateLogStream", "logs:PutLogEvents"), [pulumi.Output.concat(log_group.arn, ":*")])


def _consumer_statements(consumer: Consumer, resources: Resources) -> list[Statement]:
    failures = Statement(SEND, [resources.queues[consumer.failures]])
    return [*(Statement(POLL_STREAM, [resources.streams[table]]) for table in consumer.tables), failures]
