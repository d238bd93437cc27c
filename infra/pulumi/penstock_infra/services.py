"""The API and the runners on Fargate: what a task is, who balances it, and when there are more of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws

from penstock_infra.configuration import Configuration
from penstock_infra.images import Images
from penstock_infra.network import Network
from penstock_infra.permissions import (
    RIGHTS,
    Resources,
    Statement,
    statements,
    unit_role,
    write_log,
)

STOP_SECONDS_MAX = 120
"""Fargate's highest, for runners: what they cannot hand back in time is done again from the last checkpoint."""
LOG_BUFFER = "25m"
SCRATCH = "scratch"
SCRATCH_PATH = "/scratch"
"""TMPDIR of the images, which give it to the user that they run as."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What every service stands on."""

    configuration: Configuration
    network: Network
    images: Images
    resources: Resources
    cluster: aws.ecs.Cluster
    account: pulumi.Output[str]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Task:
    """One kind of task. `unit` names its rights and everything that is made for it; `allowed` are further ones, which
    depend on the stack. `secrets`: ARNs of Secrets Manager by the names of the variables that get what they hold."""

    unit: str
    image: str
    cpu_units: int
    memory_mb: int
    stop_seconds: int
    environment: Mapping[str, str]
    port: int | None = None
    allowed: Sequence[Statement] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)


def define_task(ground: Ground, task: Task, *, parent: pulumi.Resource) -> aws.ecs.TaskDefinition:
    """Non-root (by its image), a read-only root, one place to write, and an init to reap children."""
    name = ground.configuration.physical(task.unit)
    child = pulumi.ResourceOptions(parent=parent)
    log_group = aws.cloudwatch.LogGroup(
        name, name=f"/ecs/{name}", retention_in_days=ground.configuration.log_retention_days, opts=child
    )
    service = "ecs-tasks.amazonaws.com"
    own = unit_role(
        name,
        service=service,
        allowed=[*statements(RIGHTS[task.unit], ground.resources), *task.allowed],
        account=ground.account,
        parent=parent,
    )
    execution = unit_role(
        f"{name}-execution",
        service=service,
        allowed=[
            *_pull(ground.images, task.image),
            write_log(log_group),
            *_read(task.secrets, ground.configuration.region),
        ],
        account=ground.account,
        parent=parent,
    )
    return aws.ecs.TaskDefinition(
        name,
        family=name,
        requires_compatibilities=["FARGATE"],
        network_mode="awsvpc",
        cpu=str(task.cpu_units),
        memory=str(task.memory_mb),
        runtime_platform=aws.ecs.TaskDefinitionRuntimePlatformArgs(
            cpu_architecture="ARM64", operating_system_family="LINUX"
        ),
        task_role_arn=own,
        execution_role_arn=execution,
        volumes=[aws.ecs.TaskDefinitionVolumeArgs(name=SCRATCH)],
        container_definitions=pulumi.Output.json_dumps([_container(ground, task, log_group)]),
        opts=child,
    )


def _container(ground: Ground, task: Task, log_group: aws.cloudwatch.LogGroup) -> dict[str, Any]:
    region = ground.configuration.region
    environment = {**ground.environment, **task.environment, "AWS_DEFAULT_REGION": region}
    return {
        "name": task.unit,
        "image": ground.images.uri(task.image),
        "essential": True,
        "readonlyRootFilesystem": True,
        "linuxParameters": {"initProcessEnabled": True},
        "stopTimeout": task.stop_seconds,
        "environment": [{"name": name, "value": value} for name, value in sorted(environment.items())],
        "secrets": [{"name": name, "valueFrom": secret} for name, secret in sorted(task.secrets.items())],
        "portMappings": [{"containerPort": task.port, "protocol": "tcp"}] if task.port else [],
        "mountPoints": [{"sourceVolume": SCRATCH, "containerPath": SCRATCH_PATH}],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": log_group.name,
                "awslogs-region": region,
                "awslogs-stream-prefix": task.unit,
                "mode": "non-blocking",
                "max-buffer-size": LOG_BUFFER,
            },
        },
    }


def run_service(
    ground: Ground,
    unit: str,
    definition: aws.ecs.TaskDefinition,
    *,
    security_group: aws.ec2.SecurityGroup,
    tasks: int,
    balanced: Sequence[aws.ecs.ServiceLoadBalancerArgs] = (),
    parent: pulumi.Resource,
    depends_on: Sequence[pulumi.Resource] = (),
) -> aws.ecs.Service:
    """Old tasks stay until the new ones are healthy; a deployment that does not get there is rolled back."""
    return aws.ecs.Service(
        ground.configuration.physical(unit),
        name=ground.configuration.physical(unit),
        cluster=ground.cluster.arn,
        launch_type="FARGATE",
        task_definition=definition.arn,
        desired_count=tasks,
        deployment_circuit_breaker=aws.ecs.ServiceDeploymentCircuitBreakerArgs(enable=True, rollback=True),
        deployment_minimum_healthy_percent=100,
        deployment_maximum_percent=200,
        network_configuration=aws.ecs.ServiceNetworkConfigurationArgs(
            subnets=[subnet.id for subnet in ground.network.private],
            security_groups=[security_group.id],
            assign_public_ip=False,
        ),
        load_balancers=list(balanced),
        health_check_grace_period_seconds=60 if balanced else None,
        wait_for_steady_state=True,
        # The number of tasks belongs to the autoscaling from the first deployment on.
        # Images are pulled through routes and rules that nothing else here names.
        opts=pulumi.ResourceOptions(
            parent=parent, depends_on=[ground.network, *depends_on], ignore_changes=["desiredCount"]
        ),
    )


def scalable(
    ground: Ground, service: aws.ecs.Service, unit: str, *, least: int, most: int
) -> aws.appautoscaling.Target:
    return aws.appautoscaling.Target(
        ground.configuration.physical(unit),
        service_namespace="ecs",
        resource_id=pulumi.Output.concat("service/", ground.cluster.name, "/", service.name),
        scalable_dimension="ecs:service:DesiredCount",
        min_capacity=least,
        max_capacity=most,
        opts=pulumi.ResourceOptions(parent=service),
    )


def _read(secrets: Mapping[str, str], region: str) -> list[Statement]:
    """Also under a KMS key of the customer's own, whose policy leaves that to IAM, as keys do by default."""
    if not secrets:
        return []
    through = {"StringEquals": {"kms:ViaService": f"secretsmanager.{region}.amazonaws.com"}}
    return [
        *(Statement(("secretsmanager:GetSecretValue",), [secret]) for _, secret in sorted(secrets.items())),
        Statement(("kms:Decrypt",), ["*"], through),
    ]


def _pull(images: Images, image: str) -> list[Statement]:
    """Logging in to the registry is the one call that has no resource to name."""
    return [
        Statement(("ecr:GetAuthorizationToken",), ["*"]),
        Statement(
            ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
            [images.repositories[image].arn],
        ),
    ]
