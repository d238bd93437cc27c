"""Alarms on what users feel and on what would be felt later, each with the runbook section that says what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from penstock_backbone.inventory import ADMISSION_QUEUE, DISPATCH_QUEUE, INVENTORY, Table
from penstock_infra.configuration import Configuration
from penstock_infra.permissions import SWEEP, policy

RUNBOOK = "docs/operations.md"
MINUTE_SECONDS = 60
ITERATOR_AGE_MS_MAX = 60_000
ADMISSION_AGE_SECONDS_MAX = 60
DISPATCH_AGE_SECONDS_MAX = 300
API_ERRORS_PER_MINUTE_MAX = 5
API_P99_SECONDS_MAX = 1


@dataclass(frozen=True, slots=True)
class Metric:
    namespace: str
    name: str
    statistic: str
    dimensions: Mapping[str, pulumi.Input[str]]


@dataclass(frozen=True, slots=True)
class Alarm:
    """Rings when the metric, or `expression` over the metrics m0, m1, …, is above `above` in each of `minutes` minutes.

    `section` is the runbook's. `silence_is_bad`: no data counts as bad, for what must report always.
    """

    name: str
    says: str
    section: str
    metrics: tuple[Metric, ...]
    above: float = 0
    minutes: int = 1
    expression: str | None = None
    silence_is_bad: bool = False


@dataclass(frozen=True, slots=True)
class Watched:
    """The names that are not in the inventory: AWS makes them up or another component chose them."""

    functions: Mapping[str, pulumi.Output[str]]
    cluster: pulumi.Output[str]
    services: Mapping[str, pulumi.Output[str]]
    balancer: pulumi.Output[str]
    targets: pulumi.Output[str]


class Alarms(pulumi.ComponentResource):
    topic: aws.sns.Topic

    def __init__(
        self,
        configuration: Configuration,
        watched: Watched,
        account: pulumi.Output[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("penstock:infra:Alarms", configuration.physical("alarms"), None, opts)
        self._configuration = configuration
        self._topic(account)
        for alarm in [
            *_queue_alarms(configuration),
            *_stream_alarms(watched),
            *_function_alarms(watched),
            *_table_alarms(configuration),
            *_bus_alarms(configuration),
            *_service_alarms(watched),
            *_api_alarms(watched),
        ]:
            self._alarm(alarm)
        self.register_outputs({"topic": self.topic.arn})

    def _topic(self, account: pulumi.Output[str]) -> None:
        """Not encrypted with AWS's own key: CloudWatch may not use that one. The texts hold names only."""
        name = self._configuration.physical("alarms")
        self.topic = aws.sns.Topic(name, name=name, opts=pulumi.ResourceOptions(parent=self))
        child = pulumi.ResourceOptions(parent=self.topic)
        from_alarms = {
            "Effect": "Allow",
            "Principal": {"Service": "cloudwatch.amazonaws.com"},
            "Action": "sns:Publish",
            "Resource": self.topic.arn,
            "Condition": {"StringEquals": {"aws:SourceAccount": account}},
        }
        aws.sns.TopicPolicy(name, arn=self.topic.arn, policy=policy([from_alarms]), opts=child)
        if self._configuration.alarm_email:
            aws.sns.TopicSubscription(
                name, topic=self.topic.arn, protocol="email", endpoint=self._configuration.alarm_email, opts=child
            )

    def _alarm(self, alarm: Alarm) -> None:
        name = self._configuration.physical(alarm.name)
        queries = [
            aws.cloudwatch.MetricAlarmMetricQueryArgs(
                id=f"m{number}",
                metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
                    namespace=metric.namespace,
                    metric_name=metric.name,
                    dimensions=dict(metric.dimensions),
                    stat=metric.statistic,
                    period=MINUTE_SECONDS,
                ),
                return_data=alarm.expression is None,
            )
            for number, metric in enumerate(alarm.metrics)
        ]
        if alarm.expression is not None:
            result = aws.cloudwatch.MetricAlarmMetricQueryArgs(
                id="result", expression=alarm.expression, label=alarm.says, return_data=True
            )
            queries.append(result)
        aws.cloudwatch.MetricAlarm(
            name,
            name=name,
            alarm_description=f"{alarm.says} Runbook: {RUNBOOK}#{alarm.section}",
            metric_queries=queries,
            evaluation_periods=alarm.minutes,
            comparison_operator="GreaterThanThreshold",
            threshold=alarm.above,
            treat_missing_data="breaching" if alarm.silence_is_bad else "notBreaching",
            alarm_actions=[self.topic.arn],
            ok_actions=[self.topic.arn],
            opts=pulumi.ResourceOptions(parent=self),
        )


def _queue_alarms(configuration: Configuration) -> list[Alarm]:
    def waiting(queue: str) -> Metric:
        name = configuration.physical(queue)
        return Metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", {"QueueName": name})

    def age(queue: str) -> Metric:
        name = configuration.physical(queue)
        return Metric("AWS/SQS", "ApproximateAgeOfOldestMessage", "Maximum", {"QueueName": name})

    alarms = [
        Alarm(
            "admission-queue-age", "Hints wait: new projects start late.", "admission-queue-age",
            (age(ADMISSION_QUEUE),), above=ADMISSION_AGE_SECONDS_MAX, minutes=3,
        ),
        Alarm(
            "dispatch-queue-age", "Granted runs find no runner.", "dispatch-queue-age",
            (age(DISPATCH_QUEUE),), above=DISPATCH_AGE_SECONDS_MAX, minutes=3,
        ),
    ]  # fmt: skip
    for queue in INVENTORY.queues:
        if queue.dead_letter:
            says = f"{queue.dlq} holds messages that nobody could settle."
            alarms.append(Alarm(queue.dlq, says, f"{queue.name}-dlq", (waiting(queue.dlq),)))
        else:
            says = f"{queue.name} is not empty: {queue.purpose}."
            alarms.append(Alarm(queue.name, says, queue.name, (waiting(queue.name),)))
    return alarms


def _stream_alarms(watched: Watched) -> list[Alarm]:
    return [
        Alarm(
            f"{consumer.name}-lag",
            f"The {consumer.name} reads its streams more than a minute late.",
            "stream-lag",
            (Metric("AWS/Lambda", "IteratorAge", "Maximum", {"FunctionName": watched.functions[consumer.name]}),),
            above=ITERATOR_AGE_MS_MAX,
            minutes=3,
        )
        for consumer in INVENTORY.consumers
    ]


def _function_alarms(watched: Watched) -> list[Alarm]:
    def metric(unit: str, name: str) -> Metric:
        return Metric("AWS/Lambda", name, "Sum", {"FunctionName": watched.functions[unit]})

    alarms = [
        Alarm(
            "sweep-silent", "The sweep has not run for five minutes.", "sweep-silent",
            (metric(SWEEP, "Invocations"),), expression="1 - FILL(m0, 0)", minutes=5, silence_is_bad=True,
        )
    ]  # fmt: skip
    for unit in watched.functions:
        alarms += [
            Alarm(
                f"{unit}-errors", f"The function {unit} keeps failing.", "function-errors",
                (metric(unit, "Errors"),), minutes=3,
            ),
            Alarm(
                f"{unit}-throttles", f"The function {unit} is throttled.", "function-throttles",
                (metric(unit, "Throttles"),), minutes=3,
            ),
        ]  # fmt: skip
    return alarms


def _table_alarms(configuration: Configuration) -> list[Alarm]:
    return [
        Alarm(
            f"{table.name}-throttles",
            f"DynamoDB throttles the table {table.name} or one of its indexes.",
            "table-throttles",
            metrics := _throttles(table, configuration.physical(table.name)),
            expression=_sum(metrics),
            minutes=3,
        )
        for table in INVENTORY.tables
    ]


def _throttles(table: Table, name: str) -> tuple[Metric, ...]:
    """An index that is throttled holds back the table's writes, and reports under its own name."""
    places: list[dict[str, pulumi.Input[str]]] = [{"TableName": name}]
    places += [{"TableName": name, "GlobalSecondaryIndexName": index.name} for index in table.indexes]
    kinds = ("ReadThrottleEvents", "WriteThrottleEvents")
    return tuple(Metric("AWS/DynamoDB", kind, "Sum", place) for place in places for kind in kinds)


def _bus_alarms(configuration: Configuration) -> list[Alarm]:
    bus = configuration.physical(INVENTORY.bus)
    alarms = []
    for rule in INVENTORY.rules:
        dimensions = {"EventBusName": bus, "RuleName": configuration.physical(rule.name)}
        kinds = ("FailedInvocations", "InvocationsFailedToBeSentToDlq")
        metrics = tuple(Metric("AWS/Events", kind, "Sum", dimensions) for kind in kinds)
        says = f"The bus could not deliver events of the rule {rule.name}."
        alarms.append(Alarm(f"{rule.name}-undelivered", says, "undelivered-events", metrics, expression=_sum(metrics)))
    return alarms


def _service_alarms(watched: Watched) -> list[Alarm]:
    def metric(name: str, service: pulumi.Output[str]) -> Metric:
        dimensions = {"ClusterName": watched.cluster, "ServiceName": service}
        return Metric("ECS/ContainerInsights", name, "Average", dimensions)

    return [
        Alarm(
            f"{unit}-tasks-missing",
            f"The service {unit} has had fewer tasks than it should for ten minutes.",
            "tasks-missing",
            (metric("DesiredTaskCount", service), metric("RunningTaskCount", service)),
            expression="m0 - m1",
            minutes=10,
            silence_is_bad=True,
        )
        for unit, service in watched.services.items()
    ]


def _api_alarms(watched: Watched) -> list[Alarm]:
    balancer = {"LoadBalancer": watched.balancer}
    errors = tuple(
        Metric("AWS/ApplicationELB", name, "Sum", balancer)
        for name in ("HTTPCode_Target_5XX_Count", "HTTPCode_ELB_5XX_Count")
    )
    time = Metric("AWS/ApplicationELB", "TargetResponseTime", "p99", balancer | {"TargetGroup": watched.targets})
    return [
        Alarm(
            "api-errors", "The API answers with server errors.", "api-errors",
            errors, expression=_sum(errors), above=API_ERRORS_PER_MINUTE_MAX, minutes=3,
        ),
        Alarm(
            "api-slow", "One request in a hundred takes the API more than a second.", "api-slow",
            (time,), above=API_P99_SECONDS_MAX, minutes=5,
        ),
    ]  # fmt: skip


def _sum(metrics: Sequence[Metric]) -> str:
    """A metric without events has no data at all, which would make the whole sum disappear."""
    return " + ".join(f"FILL(m{number}, 0)" for number in range(len(metrics)))
