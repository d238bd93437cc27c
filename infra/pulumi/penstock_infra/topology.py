"""The one file that wires the components: what there is, in the order in which it is needed."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from penstock_infra.alarms import Alarms, Watched
from penstock_infra.api_service import ApiService
from penstock_infra.configuration import Configuration
from penstock_infra.data import Data
from penstock_infra.functions import Functions, Sources
from penstock_infra.images import FUNCTIONS, Images
from penstock_infra.messaging import Messaging
from penstock_infra.network import Network
from penstock_infra.permissions import API, RUNNER, Resources
from penstock_infra.runner_service import RunnerService
from penstock_infra.services import Ground


@dataclass(frozen=True, slots=True)
class Topology:
    """What an operator wants to know afterwards."""

    api_url: pulumi.Output[str]
    event_bus: pulumi.Output[str]
    alarm_topic: pulumi.Output[str]
    repositories: dict[str, pulumi.Output[str]]


def build(configuration: Configuration) -> Topology:
    account = aws.get_caller_identity_output().account_id
    data = Data(configuration)
    messaging = Messaging(configuration)
    images = Images(configuration, account)
    resources = _resources(data, messaging)
    environment = environment_of(configuration)
    functions = Functions(
        Sources(configuration, data, messaging, resources, images.uri(FUNCTIONS), account, environment)
    )
    ground = Ground(
        configuration, Network(configuration), images, resources, _cluster(configuration), account, environment
    )
    runner = RunnerService(ground)
    api = ApiService(ground, after=runner.service)
    watched = Watched(
        functions={unit: function.name for unit, function in functions.functions.items()},
        cluster=ground.cluster.name,
        services={API: api.service.name, RUNNER: runner.service.name},
        balancer=api.balancer.arn_suffix,
        targets=api.targets.arn_suffix,
    )
    alarms = Alarms(configuration, watched, account)
    return Topology(
        api_url=api.url,
        event_bus=messaging.bus.name,
        alarm_topic=alarms.topic.arn,
        repositories={service: found.repository_url for service, found in images.repositories.items()},
    )


def environment_of(configuration: Configuration) -> dict[str, str]:
    """The settings that every unit reads; names of tables and queues follow from the stack's."""
    environment = {"PENSTOCK_ENGINE": "aws", "PENSTOCK_STACK": configuration.stack}
    if configuration.otlp_endpoint:
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = configuration.otlp_endpoint
    return environment


def _resources(data: Data, messaging: Messaging) -> Resources:
    return Resources(
        tables={name: table.arn for name, table in data.tables.items()},
        streams={name: table.stream_arn for name, table in data.tables.items()},
        queues={name: queue.arn for name, queue in messaging.queues.items()},
        bus=messaging.bus.arn,
        bucket=data.bucket.arn,
    )


def _cluster(configuration: Configuration) -> aws.ecs.Cluster:
    """Container insights count the tasks that run, which autoscaling and alarms ask for."""
    name = configuration.physical("cluster")
    insights = aws.ecs.ClusterSettingArgs(name="containerInsights", value="enabled")
    return aws.ecs.Cluster(name, name=name, settings=[insights])
