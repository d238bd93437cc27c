"""The API behind its load balancer."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from penstock_backbone.environment import HOSTS, ORIGINS
from penstock_infra.network import API_PORT
from penstock_infra.permissions import API
from penstock_infra.services import Ground, Task, define_task, run_service, scalable

IDLE_SECONDS_MAX = 120
"""Streams send a sign of life well below this; the API keeps an idle connection open for longer than this."""
STOP_SECONDS = 30
CPU_PERCENT = 60
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"


class ApiService(pulumi.ComponentResource):
    """Inside the VPC only, unless the configuration names clients on the internet."""

    def __init__(self, ground: Ground, *, after: pulumi.Resource, opts: pulumi.ResourceOptions | None = None) -> None:
        """`after` are the runners: the API is not ready before one of them has announced a workflow."""
        super().__init__("penstock:infra:ApiService", ground.configuration.physical("api-service"), None, opts)
        self._ground = ground
        self._physical = ground.configuration.physical(API)
        self._child = pulumi.ResourceOptions(parent=self)
        self.balancer = self._balancer()
        self.targets = self._targets()
        listener = self._listener()
        task = Task(
            unit=API,
            image="api-gateway-svc",
            cpu_units=512,
            memory_mb=1024,
            stop_seconds=STOP_SECONDS,
            environment={
                "PENSTOCK_HOST": "0.0.0.0",  # noqa: S104  # only the balancer's group reaches it
                "PENSTOCK_PORT": str(API_PORT),
                ORIGINS: ground.configuration.origins,
                HOSTS: ground.configuration.hosts,
            },
            port=API_PORT,
        )
        self.service = run_service(
            ground,
            API,
            define_task(ground, task, parent=self),
            security_group=ground.network.api_group,
            tasks=ground.configuration.api_tasks_min,
            balanced=[
                aws.ecs.ServiceLoadBalancerArgs(
                    target_group_arn=self.targets.arn, container_name=API, container_port=API_PORT
                )
            ],
            parent=self,
            depends_on=[listener, after],
        )
        self._scaling()
        scheme = "https" if ground.configuration.certificate_arn else "http"
        self.url = pulumi.Output.concat(scheme, "://", self.balancer.dns_name)
        self.register_outputs({"url": self.url})

    def _balancer(self) -> aws.lb.LoadBalancer:
        network = self._ground.network
        internal = not self._ground.configuration.api_client_cidrs
        return aws.lb.LoadBalancer(
            self._physical,
            name=self._physical,
            internal=internal,
            load_balancer_type="application",
            subnets=[subnet.id for subnet in (network.private if internal else network.public)],
            security_groups=[network.load_balancer_group.id],
            idle_timeout=IDLE_SECONDS_MAX,
            drop_invalid_header_fields=True,
            enable_deletion_protection=self._ground.configuration.production,
            opts=self._child,
        )

    def _targets(self) -> aws.lb.TargetGroup:
        """Readiness, not liveness: a task that cannot reach its tables fails its deployment, which is then rolled
        back. Two minutes of patience, so that a short outage of the tables does not replace every task."""
        return aws.lb.TargetGroup(
            self._physical,
            name_prefix="api-",
            vpc_id=self._ground.network.vpc.id,
            target_type="ip",
            protocol="HTTP",
            port=API_PORT,
            deregistration_delay=STOP_SECONDS,
            health_check=aws.lb.TargetGroupHealthCheckArgs(
                path="/readyz", matcher="200", interval=15, timeout=5, healthy_threshold=2, unhealthy_threshold=8
            ),
            opts=self._child,
        )

    def _listener(self) -> aws.lb.Listener:
        certificate = self._ground.configuration.certificate_arn
        return aws.lb.Listener(
            self._physical,
            load_balancer_arn=self.balancer.arn,
            port=443 if certificate else 80,
            protocol="HTTPS" if certificate else "HTTP",
            certificate_arn=certificate,
            ssl_policy=TLS_POLICY if certificate else None,
            default_actions=[aws.lb.ListenerDefaultActionArgs(type="forward", target_group_arn=self.targets.arn)],
            opts=pulumi.ResourceOptions(parent=self.balancer),
        )

    def _scaling(self) -> None:
        configuration = self._ground.configuration
        target = scalable(
            self._ground, self.service, API, least=configuration.api_tasks_min, most=configuration.api_tasks_max
        )
        aws.appautoscaling.Policy(
            self._physical,
            policy_type="TargetTrackingScaling",
            service_namespace=target.service_namespace,
            resource_id=target.resource_id,
            scalable_dimension=target.scalable_dimension,
            target_tracking_scaling_policy_configuration=aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationArgs(
                target_value=CPU_PERCENT,
                predefined_metric_specification=aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationPredefinedMetricSpecificationArgs(
                    predefined_metric_type="ECSServiceAverageCPUUtilization"
                ),
            ),
            opts=pulumi.ResourceOptions(parent=target),
        )
