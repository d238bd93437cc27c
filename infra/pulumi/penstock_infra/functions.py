"""The orchestrator as Lambda functions: one for each stream consumer, one for the admission queue, one for the tick.

All run the orchestrator's container image with another handler. An image and not a zip, because it is the artifact
that the tests' lock file describes, wheels included, and because one scan and one tag cover all five functions.
They stay outside the VPC: everything they call is a public AWS endpoint guarded by IAM.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from penstock_backbone.inventory import (
    ADMISSION_QUEUE,
    DISPATCH_QUEUE,
    DISPATCHER,
    INVENTORY,
    LIMITS_WATCHER,
    RELAY,
    Consumer,
)
from penstock_infra.configuration import Configuration
from penstock_infra.data import Data
from penstock_infra.messaging import Messaging, only_from
from penstock_infra.permissions import (
    ADMISSION,
    RIGHTS,
    SWEEP,
    Resources,
    Statement,
    statements,
    unit_role,
    write_log,
)

ENTRY_POINT = ("/app/.venv/bin/python", "-m", "awslambdaric")
HANDLERS: Mapping[str, str] = {
    RELAY: "penstock_orchestrator.lambdas.relay_handler",
    DISPATCHER: "penstock_orchestrator.lambdas.dispatch_handler",
    LIMITS_WATCHER: "penstock_orchestrator.lambdas.limits_handler",
    ADMISSION: "penstock_orchestrator.lambdas.admission_handler",
    SWEEP: "penstock_orchestrator.lambdas.sweep_handler",
}
MEMORY_MB = 512
ADMISSION_MEMORY_MB = 1769
"""A whole core goes with it. Each invocation reads all tokens anew, and each takes 50 to 65 µs of computing: half a second
for a line of 10,000, and two on the others' share of a core."""
STREAM_TIMEOUT_SECONDS = 60
SWEEP_TIMEOUT_SECONDS = 66
"""One invocation sweeps again and again until its last 8 seconds, so a tick's sweeps end just before the next tick."""
RECORD_AGE_SECONDS_MAX = 23 * 3600
"""An hour before the stream forgets the record, so that what was never handled ends in the failures queue all the same."""
UNCOUNTED = -1
"""Attempts: an outage of the bus may take many."""
PARALLELIZATION = 10
ADMISSIONS_MAX = 2
"""The lowest that a queue's mapping takes. Two at once are harmless: the head's compare-and-swap lets one decide."""
ADMISSION_BATCH_MESSAGES = 10
"""More would have to wait for each other for a second."""
VISIBILITY_OVER_TIMEOUT = 2
"""AWS advises 6, against messages that are handled twice while the poller retries. For hints that does no harm, and
a turn over a long line needs its time."""
TICK = "rate(1 minute)"
"""The shortest that the scheduler takes."""
STALE_TICK_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Sources:
    """What the functions are built from."""

    configuration: Configuration
    data: Data
    messaging: Messaging
    resources: Resources
    image: pulumi.Output[str]
    account: pulumi.Output[str]
    environment: Mapping[str, str]


class Functions(pulumi.ComponentResource):
    functions: dict[str, aws.lambda_.Function]

    def __init__(self, sources: Sources, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("penstock:infra:Functions", sources.configuration.physical("functions"), None, opts)
        self._sources = sources
        self._roles: dict[str, pulumi.Output[str]] = {}
        self.functions = {}
        for consumer in INVENTORY.consumers:
            self.functions[consumer.name] = self._function(consumer.name, STREAM_TIMEOUT_SECONDS)
            for table in consumer.tables:
                self._read_stream(consumer, table)
        visibility_seconds = INVENTORY.queue(ADMISSION_QUEUE).visibility_seconds
        self.functions[ADMISSION] = self._function(ADMISSION, visibility_seconds // VISIBILITY_OVER_TIMEOUT)
        self._read_admission_queue()
        self.functions[SWEEP] = self._function(SWEEP, SWEEP_TIMEOUT_SECONDS)
        self._tick()
        self._guard_dispatch()
        self.register_outputs({})

    def _guard_dispatch(self) -> None:
        """The dispatcher sends each grant, and the sweep sends it again when nobody took it up."""
        queue = self._sources.messaging.queues[DISPATCH_QUEUE]
        senders = [role for unit, role in self._roles.items() if DISPATCH_QUEUE in RIGHTS[unit].sends]
        only_from(self._physical(DISPATCH_QUEUE), queue, senders, parent=queue)

    def _physical(self, unit: str) -> str:
        return self._sources.configuration.physical(unit)

    def _function(self, unit: str, timeout_seconds: int) -> aws.lambda_.Function:
        name = self._physical(unit)
        log_group = aws.cloudwatch.LogGroup(
            name,
            name=f"/aws/lambda/{name}",
            retention_in_days=self._sources.configuration.log_retention_days,
            opts=pulumi.ResourceOptions(parent=self),
        )
        allowed = [*statements(RIGHTS[unit], self._sources.resources), write_log(log_group)]
        self._roles[unit] = unit_role(name, service="lambda.amazonaws.com", allowed=allowed, parent=self)
        return aws.lambda_.Function(
            name,
            name=name,
            package_type="Image",
            image_uri=self._sources.image,
            image_config=aws.lambda_.FunctionImageConfigArgs(entry_points=list(ENTRY_POINT), commands=[HANDLERS[unit]]),
            architectures=["arm64"],
            memory_size=ADMISSION_MEMORY_MB if unit == ADMISSION else MEMORY_MB,
            timeout=timeout_seconds,
            role=self._roles[unit],
            environment=aws.lambda_.FunctionEnvironmentArgs(variables=dict(self._sources.environment)),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[log_group]),
        )

    def _read_stream(self, consumer: Consumer, table: str) -> None:
        """Only a record's age ends its attempts here: what is its own fault the function counts, and puts aside itself."""
        failures = self._sources.messaging.queues[consumer.failures]
        aws.lambda_.EventSourceMapping(
            self._physical(f"{consumer.name}-{table}"),
            event_source_arn=self._sources.data.stream_arn(table),
            function_name=self.functions[consumer.name].arn,
            starting_position="TRIM_HORIZON",
            batch_size=consumer.batch_records,
            parallelization_factor=PARALLELIZATION,
            maximum_retry_attempts=UNCOUNTED,
            maximum_record_age_in_seconds=RECORD_AGE_SECONDS_MAX,
            bisect_batch_on_function_error=True,
            function_response_types=["ReportBatchItemFailures"],
            destination_config=aws.lambda_.EventSourceMappingDestinationConfigArgs(
                on_failure=aws.lambda_.EventSourceMappingDestinationConfigOnFailureArgs(destination_arn=failures.arn)
            ),
            filter_criteria=_only(consumer.partition) if consumer.partition else None,
            opts=pulumi.ResourceOptions(parent=self.functions[consumer.name]),
        )

    def _read_admission_queue(self) -> None:
        aws.lambda_.EventSourceMapping(
            self._physical(ADMISSION),
            event_source_arn=self._sources.messaging.queues[ADMISSION_QUEUE].arn,
            function_name=self.functions[ADMISSION].arn,
            batch_size=ADMISSION_BATCH_MESSAGES,
            function_response_types=["ReportBatchItemFailures"],
            scaling_config=aws.lambda_.EventSourceMappingScalingConfigArgs(maximum_concurrency=ADMISSIONS_MAX),
            opts=pulumi.ResourceOptions(parent=self.functions[ADMISSION]),
        )

    def _tick(self) -> None:
        """A late or failed tick is worth nothing, since the next one does its work: no retries, no DLQ."""
        name = self._physical(SWEEP)
        function = self.functions[SWEEP]
        child = pulumi.ResourceOptions(parent=function)
        invoke = Statement(("lambda:InvokeFunction",), [function.arn])
        role = unit_role(
            f"{name}-tick",
            service="scheduler.amazonaws.com",
            allowed=[invoke],
            account=self._sources.account,
            parent=function,
        )
        aws.scheduler.Schedule(
            name,
            name=name,
            description="repairs whatever a lost hint or a dead runner left behind",
            schedule_expression=TICK,
            flexible_time_window=aws.scheduler.ScheduleFlexibleTimeWindowArgs(mode="OFF"),
            target=aws.scheduler.ScheduleTargetArgs(
                arn=function.arn,
                role_arn=role,
                retry_policy=aws.scheduler.ScheduleTargetRetryPolicyArgs(
                    maximum_retry_attempts=0, maximum_event_age_in_seconds=STALE_TICK_SECONDS
                ),
            ),
            opts=child,
        )
        aws.lambda_.FunctionEventInvokeConfig(
            name,
            function_name=function.name,
            maximum_retry_attempts=0,
            maximum_event_age_in_seconds=STALE_TICK_SECONDS,
            opts=child,
        )


def _only(partition: str) -> aws.lambda_.EventSourceMappingFilterCriteriaArgs:
    """What AWS leaves out starts no function: of the limits' table the boards change several times a second."""
    pattern = json.dumps({"dynamodb": {"Keys": {"pk": {"S": [partition]}}}})
    return aws.lambda_.EventSourceMappingFilterCriteriaArgs(
        filters=[aws.lambda_.EventSourceMappingFilterCriteriaFilterArgs(pattern=pattern)]
    )
