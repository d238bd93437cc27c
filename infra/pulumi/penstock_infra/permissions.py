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
    RELAY_FAILURES_QUEUE,
    RUNS,
    SESSIONS,
    TOKENS,
)

ADMISSION = "admission"
SWEEP = "sweep"
API = "api"
RUNNER = "runner"

GET = ("dynamodb:BatchGetItem", "dynamodb:GetItem")
QUERY = ("dynamodb:Query",)
READ = GET + QUERY
PUT = ("dynamodb:PutItem",)
UPDATE = ("dynamodb:PartiQLUpdate", "dynamodb:UpdateItem")
"""Batches of conditional updates travel as PartiQL statements, which IAM knows under a name of their own."""
DELETE = ("dynamodb:DeleteItem",)
READ_STREAM = (
    "dynamodb:DescribeStream",
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:ListStreams",
)
SEND = ("sqs:GetQueueUrl", "sqs:SendMessage")
RECEIVE = (
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:GetQueueUrl",
    "sqs:ReceiveMessage",
)


@dataclass(frozen=True, slots=True)
class Rights:
    """Names are the inventory's. Nobody gets Scan: a condition on tenants could not hold it."""

    tables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    streams: tuple[str, ...] = ()
    sends: tuple[str, ...] = ()
    receives: tuple[str, ...] = ()
    publishes: bool = False
    blobs: tuple[str, ...] = ()


RIGHTS: Mapping[str, Rights] = {
    API: Rights(
        tables={PROJECTS: READ + PUT, RUNS: READ, SESSIONS: READ, LIMITS: GET},
        blobs=("s3:GetObject",),
    ),
    RUNNER: Rights(
        tables={PROJECTS: GET, RUNS: GET + UPDATE, SESSIONS: GET + PUT + UPDATE},
        receives=(DISPATCH_QUEUE,),
        blobs=("s3:GetObject", "s3:PutObject"),
    ),
    RELAY: Rights(
        tables={SESSIONS: GET},
        streams=(PROJECTS, RUNS),
        sends=(RELAY_FAILURES_QUEUE,),
        publishes=True,
    ),
    DISPATCHER: Rights(
        tables={SESSIONS: GET},
        streams=(TOKENS,),
        sends=(DISPATCH_QUEUE, RELAY_FAILURES_QUEUE),
    ),
    LIMITS_WATCHER: Rights(
        tables={SESSIONS: GET},
        streams=(LIMITS,),
        sends=(ADMISSION_QUEUE, RELAY_FAILURES_QUEUE),
    ),
    ADMISSION: Rights(
        tables={
            PROJECTS: GET,
            RUNS: GET + PUT,
            TOKENS: READ + PUT + UPDATE + DELETE,
            SESSIONS: GET,
            LIMITS: QUERY + PUT,
        },
        receives=(ADMISSION_QUEUE,),
    ),
    SWEEP: Rights(
        tables={
            PROJECTS: GET,
            RUNS: GET + PUT + UPDATE,
            TOKENS: READ + PUT + UPDATE + DELETE,
            SESSIONS: READ + UPDATE + DELETE,
            LIMITS: QUERY + PUT,
        },
        sends=(DISPATCH_QUEUE,),
    ),
}
"""Every unit that runs with a role of its own. Only the orchestrator's units may touch tokens.

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
    found = [
        statement
        for table, actions in rights.tables.items()
        for statement in _table_statements(table, actions, resources)
    ]
    found += [Statement(READ_STREAM, [resources.streams[table]]) for table in rights.streams]
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


def write_log(log_group: aws.cloudwatch.LogGroup) -> Statement:
    """Streams are made by the writer, so the resource ends in every stream of this one group."""
    return Statement(("logs:CreateLogStream", "logs:PutLogEvents"), [pulumi.Output.concat(log_group.arn, ":*")])


def _table_statements(table: str, actions: tuple[str, ...], resources: Resources) -> list[Statement]:
    """An index is a resource of its own, and Query all that can be done to it."""
    arn = resources.tables[table]
    indexes = [pulumi.Output.concat(arn, "/index/", index.name) for index in INVENTORY.table(table).indexes]
    on_indexes = [Statement(QUERY, indexes)] if indexes and set(QUERY) <= set(actions) else []
    return [Statement(actions, [arn]), *on_indexes]
