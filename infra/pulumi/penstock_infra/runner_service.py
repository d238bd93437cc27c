"""The runners: more of them while granted runs find nobody free, fewer once nothing was granted for an hour."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws
from pulumi_aws import appautoscaling as scaling

from penstock_backbone.inventory import DISPATCH_QUEUE
from penstock_infra.permissions import RUNNER, ask_bedrock
from penstock_infra.services import STOP_SECONDS_MAX, Ground, Task, define_task, run_service, scalable

_Tracking = scaling.PolicyTargetTrackingScalingPolicyConfigurationArgs
_Measure = scaling.PolicyTargetTrackingScalingPolicyConfigurationCustomizedMetricSpecificationArgs
_Metric = scaling.PolicyTargetTrackingScalingPolicyConfigurationCustomizedMetricSpecificationMetricArgs
_Statistic = scaling.PolicyTargetTrackingScalingPolicyConfigurationCustomizedMetricSpecificationMetricMetricStatArgs
_Source = scaling.PolicyTargetTrackingScalingPolicyConfigurationCustomizedMetricSpecificationMetricMetricStatMetricArgs
_Dimension = scaling.PolicyTargetTrackingScalingPolicyConfigurationCustomizedMetricSpecificationMetricMetricStatMetricDimensionArgs
_Steps = scaling.PolicyStepScalingPolicyConfigurationArgs
_Step = scaling.PolicyStepScalingPolicyConfigurationStepAdjustmentArgs

RUNS_PER_TASK = 8
"""For one core: stages wait for models most of the time, but they also build and test packages."""
BACKLOG_PER_TASK = 1
"""A message stays in the dispatch queue only while every runner is full, so one for each task is already many."""
QUIET_PERIOD_SECONDS = 300
QUIET_PERIODS = 12
"""An hour: nine of ten builds are over in 56 minutes, so hardly any run is interrupted when a task goes."""
COOLDOWN_SECONDS = 300


DRAIN_SECONDS = 100
"""For stages to reach their next checkpoint, well before ECS kills the task."""


class RunnerService(pulumi.ComponentResource):
    """No load balancer: runners take their work from the dispatch queue."""

    def __init__(self, ground: Ground, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("penstock:infra:RunnerService", ground.configuration.physical("runner-service"), None, opts)
        self._ground = ground
        self._physical = ground.configuration.physical(RUNNER)
        configuration = ground.configuration
        model, secret = configuration.bedrock_model, configuration.model_key_secret
        task = Task(
            unit=RUNNER,
            image="workflow-runner-svc",
            cpu_units=1024,
            memory_mb=2048,
            stop_seconds=STOP_SECONDS_MAX,
            environment={
                "PENSTOCK_RUNNER_CAPACITY": str(RUNS_PER_TASK),
                "PENSTOCK_DRAIN_SECONDS": str(DRAIN_SECONDS),
                **configuration.drafting,
            },
            allowed=() if model is None else [ask_bedrock(model, configuration.region, ground.account)],
            secrets={"PENSTOCK_MODEL_KEY": secret} if secret else {},
        )
        self.service = run_service(
            ground,
            RUNNER,
            define_task(ground, task, parent=self),
            security_group=ground.network.runner_group,
            tasks=ground.configuration.runner_tasks_min,
            parent=self,
        )
        self._target = scalable(
            ground,
            self.service,
            RUNNER,
            least=ground.configuration.runner_tasks_min,
            most=ground.configuration.runner_tasks_max,
        )
        self._more_on_backlog()
        self._fewer_when_quiet()
        self.register_outputs({})

    def _more_on_backlog(self) -> None:
        """Only upwards: an empty queue says that nobody waits, not that nobody works."""
        queue = _Dimension(name="QueueName", value=self._ground.configuration.physical(DISPATCH_QUEUE))
        cluster = _Dimension(name="ClusterName", value=self._ground.cluster.name)
        service = _Dimension(name="ServiceName", value=self.service.name)
        metrics = [
            _metric("waiting", "AWS/SQS", "ApproximateNumberOfMessagesVisible", [queue]),
            _metric("running", "ECS/ContainerInsights", "RunningTaskCount", [cluster, service]),
            _Metric(id="backlog", expression="waiting / running", label="waiting runs per task", return_data=True),
        ]
        scaling.Policy(
            f"{self._physical}-backlog",
            policy_type="TargetTrackingScaling",
            service_namespace=self._target.service_namespace,
            resource_id=self._target.resource_id,
            scalable_dimension=self._target.scalable_dimension,
            target_tracking_scaling_policy_configuration=_Tracking(
                target_value=BACKLOG_PER_TASK,
                disable_scale_in=True,
                scale_out_cooldown=60,
                customized_metric_specification=_Measure(metrics=metrics),
            ),
            opts=pulumi.ResourceOptions(parent=self._target),
        )

    def _fewer_when_quiet(self) -> None:
        child = pulumi.ResourceOptions(parent=self._target)
        one_less = scaling.Policy(
            f"{self._physical}-quiet",
            policy_type="StepScaling",
            service_namespace=self._target.service_namespace,
            resource_id=self._target.resource_id,
            scalable_dimension=self._target.scalable_dimension,
            step_scaling_policy_configuration=_Steps(
                adjustment_type="ChangeInCapacity",
                cooldown=COOLDOWN_SECONDS,
                step_adjustments=[_Step(metric_interval_upper_bound="0", scaling_adjustment=-1)],
            ),
            opts=child,
        )
        aws.cloudwatch.MetricAlarm(
            f"{self._physical}-quiet",
            name=f"{self._physical}-quiet",
            alarm_description="Not a fault: takes one runner away. Runbook: docs/operations.md#runners-quiet",
            namespace="AWS/SQS",
            metric_name="NumberOfMessagesSent",
            dimensions={"QueueName": self._ground.configuration.physical(DISPATCH_QUEUE)},
            statistic="Sum",
            period=QUIET_PERIOD_SECONDS,
            evaluation_periods=QUIET_PERIODS,
            comparison_operator="LessThanThreshold",
            threshold=1,
            # Runners poll the queue, so it always reports; without data nobody knows enough to stop one.
            treat_missing_data="notBreaching",
            alarm_actions=[one_less.arn],
            opts=child,
        )


def _metric(name: str, namespace: str, metric: str, dimensions: list[_Dimension]) -> _Metric:
    source = _Source(namespace=namespace, metric_name=metric, dimensions=dimensions)
    return _Metric(id=name, metric_stat=_Statistic(metric=source, stat="Average"), return_data=False)
