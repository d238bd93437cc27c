"""The bus, its rules and the queues, exactly as the inventory lists them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from penstock_backbone.inventory import INVENTORY, Queue, Rule
from penstock_infra.configuration import Configuration
from penstock_infra.permissions import policy

DELIVERY_ATTEMPTS_MAX = 185
DELIVERY_SECONDS_MAX = 24 * 3600
"""EventBridge's own defaults, written out: the newer kind of bus gives up after 5 attempts in 300 seconds."""
DLQ_RETENTION_SECONDS = 14 * 24 * 3600


class Messaging(pulumi.ComponentResource):
    """What the bus cannot deliver to a queue goes to that queue's DLQ: one place to look for lost hints."""

    bus: aws.cloudwatch.EventBus
    queues: Mapping[str, aws.sqs.Queue]
    rules: dict[str, aws.cloudwatch.EventRule]

    def __init__(self, configuration: Configuration, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("penstock:infra:Messaging", configuration.physical("messaging"), None, opts)
        self._configuration = configuration
        self._child = pulumi.ResourceOptions(parent=self)
        bus_name = configuration.physical(INVENTORY.bus)
        self.bus = aws.cloudwatch.EventBus(
            bus_name, name=bus_name, description="facts of every run, published by the relay only", opts=self._child
        )
        self._archive()
        queues: dict[str, aws.sqs.Queue] = {}
        for queue in INVENTORY.queues:
            queues |= self._queue(queue)
        self.queues = queues
        self.rules = {rule.name: self._rule(rule) for rule in INVENTORY.rules}
        for name in {rule.queue for rule in INVENTORY.rules}:
            self._let_the_bus_send(INVENTORY.queue(name))
        self.register_outputs({"bus": self.bus.name})

    def _archive(self) -> None:
        """For replays to new subscribers; the truth is in the tables."""
        name = self._configuration.physical("archive")
        aws.cloudwatch.EventArchive(
            name,
            name=name,
            event_source_arn=self.bus.arn,
            retention_days=self._configuration.archive_retention_days,
            opts=pulumi.ResourceOptions(parent=self.bus),
        )

    def _queue(self, queue: Queue) -> dict[str, aws.sqs.Queue]:
        if not queue.dead_letter:
            return {queue.name: self._plain_queue(queue, None)}
        dlq_name = self._configuration.physical(queue.dlq)
        dlq = aws.sqs.Queue(
            dlq_name,
            name=dlq_name,
            message_retention_seconds=DLQ_RETENTION_SECONDS,
            sqs_managed_sse_enabled=True,
            opts=self._child,
        )
        redrive = pulumi.Output.json_dumps({"deadLetterTargetArn": dlq.arn, "maxReceiveCount": queue.receives_max})
        source = self._plain_queue(queue, redrive)
        aws.sqs.RedriveAllowPolicy(
            dlq_name,
            queue_url=dlq.url,
            redrive_allow_policy=pulumi.Output.json_dumps(
                {"redrivePermission": "byQueue", "sourceQueueArns": [source.arn]}
            ),
            opts=pulumi.ResourceOptions(parent=dlq),
        )
        return {queue.name: source, queue.dlq: dlq}

    def _plain_queue(self, queue: Queue, redrive: pulumi.Output[str] | None) -> aws.sqs.Queue:
        name = self._configuration.physical(queue.name)
        return aws.sqs.Queue(
            name,
            name=name,
            visibility_timeout_seconds=queue.visibility_seconds,
            message_retention_seconds=queue.retention_seconds,
            redrive_policy=redrive,
            sqs_managed_sse_enabled=True,
            opts=self._child,
        )

    def _rule(self, rule: Rule) -> aws.cloudwatch.EventRule:
        name = self._configuration.physical(rule.name)
        created = aws.cloudwatch.EventRule(
            name,
            name=name,
            description=rule.purpose,
            event_bus_name=self.bus.name,
            event_pattern=json.dumps(rule.pattern),
            opts=pulumi.ResourceOptions(parent=self.bus),
        )
        aws.cloudwatch.EventTarget(
            name,
            event_bus_name=self.bus.name,
            rule=created.name,
            target_id=rule.queue,
            arn=self.queues[rule.queue].arn,
            dead_letter_config=aws.cloudwatch.EventTargetDeadLetterConfigArgs(
                arn=self.queues[INVENTORY.queue(rule.queue).dlq].arn
            ),
            retry_policy=aws.cloudwatch.EventTargetRetryPolicyArgs(
                maximum_retry_attempts=DELIVERY_ATTEMPTS_MAX, maximum_event_age_in_seconds=DELIVERY_SECONDS_MAX
            ),
            opts=pulumi.ResourceOptions(parent=created),
        )
        return created

    def _let_the_bus_send(self, queue: Queue) -> None:
        """Names nobody but the rules. Roles of this account still need a right of their own, and a forged hint
        does no harm: its reader looks at the tables."""
        rules = [self.rules[rule.name].arn for rule in INVENTORY.rules if rule.queue == queue.name]
        for name in (queue.name, queue.dlq):
            from_rules = {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": self.queues[name].arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": rules}},
            }
            aws.sqs.QueuePolicy(
                self._configuration.physical(name),
                queue_url=self.queues[name].url,
                policy=policy([from_rules]),
                opts=pulumi.ResourceOptions(parent=self.queues[name]),
            )


def only_from(
    name: str, queue: aws.sqs.Queue, senders: Sequence[pulumi.Output[str]], *, parent: pulumi.Resource
) -> aws.sqs.QueuePolicy:
    """Refuses everybody but the roles `senders` (ARNs), whatever rights they have elsewhere: a forged grant would
    let a runner start without a token."""
    refuse_others = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sqs:SendMessage",
        "Resource": queue.arn,
        "Condition": {"ArnNotEquals": {"aws:PrincipalArn": list(senders)}},
    }
    return aws.sqs.QueuePolicy(
        name, queue_url=queue.url, policy=policy([refuse_others]), opts=pulumi.ResourceOptions(parent=parent)
    )
