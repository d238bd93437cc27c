"""Each arrow of the flow ends where it should, and every unit is told the right names."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.infra.recorder import ACCOUNT, REGION, Program, arn

from penstock_backbone.inventory import INVENTORY, Consumer, Queue, Rule
from penstock_infra.functions import ENTRY_POINT, HANDLERS
from penstock_infra.permissions import ADMISSION
from penstock_orchestrator import lambdas
from penstock_orchestrator.adapters import lambda_host

QUEUE = "aws:sqs/queue:Queue"
TABLE = "aws:dynamodb/table:Table"
FUNCTION = "aws:lambda/function:Function"

QUEUES_WITH_DLQ = [queue for queue in INVENTORY.queues if queue.dead_letter]


def container(program: Program, unit: str) -> dict[str, Any]:
    [only] = json.loads(program.one("TaskDefinition", unit).inputs["containerDefinitions"])
    assert isinstance(only, dict)
    return only


def environment(program: Program, unit: str) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container(program, unit)["environment"]}


@pytest.mark.parametrize("consumer", INVENTORY.consumers, ids=lambda consumer: consumer.name)
def test_a_consumer_reads_the_streams_of_its_tables_and_no_other(dev: Program, consumer: Consumer) -> None:
    function = arn(FUNCTION, f"{dev.stack}-{consumer.name}")
    mappings = [found.inputs for found in dev.of_type("EventSourceMapping") if found.inputs["functionName"] == function]
    tables = [mapping["eventSourceArn"].split("/stream/")[0] for mapping in mappings]
    assert sorted(tables) == sorted(arn(TABLE, f"{dev.stack}-{table}") for table in consumer.tables)
    for mapping in mappings:
        assert mapping["startingPosition"] == "TRIM_HORIZON"
        failures = mapping["destinationConfig"]["onFailure"]["destinationArn"]
        assert failures == arn(QUEUE, f"{dev.stack}-{consumer.failures}")


def test_only_limits_wake_the_limits_watcher_because_boards_change_all_the_time(dev: Program) -> None:
    [criterion] = dev.one("EventSourceMapping", "limits-watcher-limits").inputs["filterCriteria"]["filters"]
    assert json.loads(criterion["pattern"]) == {"dynamodb": {"Keys": {"pk": {"S": ["LIMITS"]}}}}


def test_no_other_stream_is_filtered(dev: Program) -> None:
    filtered = [found.name for found in dev.of_type("EventSourceMapping") if "filterCriteria" in found.inputs]
    assert filtered == [f"{dev.stack}-limits-watcher-limits"]


def test_the_admission_function_reads_the_admission_queue(dev: Program) -> None:
    inputs = dev.one("EventSourceMapping", "admission").inputs
    assert inputs["eventSourceArn"] == arn(QUEUE, f"{dev.stack}-admission")
    assert inputs["functionName"] == arn(FUNCTION, f"{dev.stack}-admission")


def test_the_admission_queue_hides_a_batch_for_longer_than_the_function_may_take(dev: Program) -> None:
    visibility_seconds = INVENTORY.queue("admission").visibility_seconds
    assert dev.one("Function", "admission").inputs["timeout"] < visibility_seconds


def test_an_admission_has_time_for_several_turns(dev: Program) -> None:
    timeout_ms = dev.one("Function", "admission").inputs["timeout"] * 1000
    assert timeout_ms >= 5 * lambdas.ADMISSION_REST_MILLISECONDS_MIN


def test_an_admission_has_a_whole_core_because_it_reads_every_token(dev: Program) -> None:
    megabytes = {name: dev.one("Function", name).inputs["memorySize"] for name in HANDLERS}
    assert megabytes.pop(ADMISSION) == 1769
    assert set(megabytes.values()) == {512}


def test_the_batch_of_the_admission_is_the_one_that_the_local_host_takes(dev: Program) -> None:
    assert dev.one("EventSourceMapping", "admission").inputs["batchSize"] == lambda_host.MESSAGES_MAX


def test_the_sweeps_of_one_tick_end_just_before_the_next(dev: Program) -> None:
    timeout_ms = dev.one("Function", "sweep").inputs["timeout"] * 1000
    assert 55_000 <= timeout_ms - lambdas.SWEEP_REST_MILLISECONDS_MIN < 60_000


@pytest.mark.parametrize("rule", INVENTORY.rules, ids=lambda rule: rule.name)
def test_a_rule_sends_to_its_queue_and_failures_to_the_dead_letter_queue_beside_it(dev: Program, rule: Rule) -> None:
    inputs = dev.one("EventTarget", rule.name).inputs
    assert inputs["arn"] == arn(QUEUE, f"{dev.stack}-{rule.queue}")
    assert inputs["deadLetterConfig"]["arn"] == arn(QUEUE, f"{dev.stack}-{rule.queue}-dlq")
    assert inputs["eventBusName"] == f"{dev.stack}-{INVENTORY.bus}"


@pytest.mark.parametrize("queue", QUEUES_WITH_DLQ, ids=lambda queue: queue.name)
def test_a_queue_gives_up_to_its_own_dead_letter_queue(dev: Program, queue: Queue) -> None:
    redrive = json.loads(dev.one("Queue", queue.name).inputs["redrivePolicy"])
    dead = arn(QUEUE, f"{dev.stack}-{queue.dlq}")
    assert redrive == {"deadLetterTargetArn": dead, "maxReceiveCount": queue.receives_max}
    allowed = json.loads(dev.one("RedriveAllowPolicy", queue.dlq).inputs["redriveAllowPolicy"])
    assert allowed["sourceQueueArns"] == [arn(QUEUE, f"{dev.stack}-{queue.name}")]


def test_the_tick_comes_every_minute_and_a_stale_one_is_dropped(dev: Program) -> None:
    inputs = dev.one("Schedule", "sweep").inputs
    assert inputs["scheduleExpression"] == "rate(1 minute)"
    assert inputs["target"]["arn"] == arn(FUNCTION, f"{dev.stack}-sweep")
    assert inputs["target"]["retryPolicy"] == {"maximumRetryAttempts": 0, "maximumEventAgeInSeconds": 60}
    invoked = dev.one("FunctionEventInvokeConfig", "sweep").inputs
    assert (invoked["maximumRetryAttempts"], invoked["maximumEventAgeInSeconds"]) == (0, 60)


@pytest.mark.parametrize("unit", sorted(HANDLERS))
def test_a_function_runs_its_handler_from_the_orchestrator_image(dev: Program, unit: str) -> None:
    inputs = dev.one("Function", unit).inputs
    assert inputs["imageUri"] == f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{dev.stack}-orchestrator-svc:1.2.3"
    assert inputs["imageConfig"] == {"entryPoints": list(ENTRY_POINT), "commands": [HANDLERS[unit]]}


@pytest.mark.parametrize("unit", sorted(HANDLERS))
def test_a_function_finds_its_tables_by_the_stack_name(program: Program, unit: str) -> None:
    variables = program.one("Function", unit).inputs["environment"]["variables"]
    assert variables["PENSTOCK_ENGINE"] == "aws"
    assert variables["PENSTOCK_STACK"] == program.stack


@pytest.mark.parametrize("unit", ["api", "runner"])
def test_a_task_finds_its_tables_by_the_stack_name(program: Program, unit: str) -> None:
    variables = environment(program, unit)
    assert variables["PENSTOCK_ENGINE"] == "aws"
    assert variables["PENSTOCK_STACK"] == program.stack
    assert variables["AWS_DEFAULT_REGION"] == REGION


def test_telemetry_goes_where_the_configuration_says_and_nowhere_by_default(dev: Program, prod: Program) -> None:
    name, endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example.com:4318"
    assert name not in environment(dev, "api")
    assert name not in dev.one("Function", "relay").inputs["environment"]["variables"]
    assert environment(prod, "runner")[name] == endpoint
    assert prod.one("Function", "relay").inputs["environment"]["variables"][name] == endpoint
    opened = {rule.inputs["fromPort"] for rule in prod.of_type("SecurityGroupEgressRule")}
    assert opened == {8080, 443, 4318}


def test_pages_of_other_addresses_may_use_the_api_where_the_configuration_says_so(dev: Program, prod: Program) -> None:
    assert environment(dev, "api")["PENSTOCK_ALLOWED_ORIGINS"] == ""
    assert environment(prod, "api")["PENSTOCK_ALLOWED_ORIGINS"] == "https://app.example.com,https://admin.example.com"


def test_the_api_goes_by_every_name_of_its_load_balancer_unless_the_configuration_names_some(
    dev: Program, prod: Program
) -> None:
    assert environment(dev, "api")["PENSTOCK_ALLOWED_HOSTS"] == "*"
    assert environment(prod, "api")["PENSTOCK_ALLOWED_HOSTS"] == "penstock.example.com"


def test_the_balancer_asks_the_api_whether_it_is_ready_on_the_port_it_was_told(dev: Program) -> None:
    port = int(environment(dev, "api")["PENSTOCK_PORT"])
    assert environment(dev, "api")["PENSTOCK_HOST"] == "0.0.0.0"
    assert container(dev, "api")["portMappings"] == [{"containerPort": port, "protocol": "tcp"}]
    [group] = dev.of_type("TargetGroup")
    assert group.inputs["port"] == port
    assert group.inputs["healthCheck"]["path"] == "/readyz"


@pytest.mark.parametrize("unit", ["api", "runner"])
def test_a_task_can_write_to_its_scratch_volume_and_nowhere_else(dev: Program, unit: str) -> None:
    assert container(dev, unit)["readonlyRootFilesystem"] is True
    [mount] = container(dev, unit)["mountPoints"]
    assert [volume["name"] for volume in dev.one("TaskDefinition", unit).inputs["volumes"]] == [mount["sourceVolume"]]


def test_a_runner_has_as_long_to_stop_as_fargate_gives(dev: Program) -> None:
    assert container(dev, "runner")["stopTimeout"] == 120


@pytest.mark.parametrize("unit", ["api", "runner"])
def test_a_deployment_that_fails_is_rolled_back_and_autoscaling_keeps_its_count(program: Program, unit: str) -> None:
    service = program.one("Service", unit)
    assert service.inputs["deploymentCircuitBreaker"] == {"enable": True, "rollback": True}
    assert service.ignored == ("desiredCount",)
    target = program.one("Target", unit).inputs
    assert 1 <= target["minCapacity"] <= target["maxCapacity"]
    assert target["resourceId"] == f"service/{program.stack}-cluster/{program.stack}-{unit}"


def test_runners_grow_with_the_backlog_per_task_and_shrink_only_after_an_hour_of_quiet(dev: Program) -> None:
    tracking = dev.one("Policy", "runner-backlog").inputs["targetTrackingScalingPolicyConfiguration"]
    assert tracking["disableScaleIn"] is True
    metrics = tracking["customizedMetricSpecification"]["metrics"]
    assert [metric.get("expression") for metric in metrics] == [None, None, "waiting / running"]
    assert metrics[0]["metricStat"]["metric"]["dimensions"] == [{"name": "QueueName", "value": f"{dev.stack}-dispatch"}]
    quiet = dev.one("MetricAlarm", "runner-quiet").inputs
    assert quiet["period"] * quiet["evaluationPeriods"] == 3600
    assert dev.one("Policy", "runner-quiet").inputs["stepScalingPolicyConfiguration"]["adjustmentType"]


def test_tasks_live_in_private_subnets_of_two_zones(program: Program) -> None:
    for unit in ("api", "runner"):
        network = program.one("Service", unit).inputs["networkConfiguration"]
        assert network["subnets"] == [f"{program.stack}-private-{zone}-id" for zone in (0, 1)]
        assert network["assignPublicIp"] is False
    zones = {program.one("Subnet", f"private-{zone}").inputs["availabilityZone"] for zone in (0, 1)}
    assert len(zones) == 2


@pytest.mark.parametrize("unit", ["api", "runner"])
def test_a_service_starts_once_its_tasks_can_pull_their_image(program: Program, unit: str) -> None:
    way_out = {"RouteTableAssociation", "NatGateway", "SecurityGroupEgressRule", "VpcEndpoint"}
    needed = {(found.type, found.name) for kind in way_out for found in program.of_type(kind)}
    assert needed <= program.one("Service", unit).waits_for


def test_the_api_starts_after_the_runners_which_announce_what_it_may_accept(program: Program) -> None:
    assert ("aws:ecs/service:Service", f"{program.stack}-runner") in program.one("Service", "api").waits_for


def test_tables_and_bucket_are_reached_without_the_nat_gateway(program: Program) -> None:
    tables = {f"{found.name}-id" for found in program.of_type("RouteTable")}
    for service in ("dynamodb", "s3"):
        endpoint = program.one("VpcEndpoint", service).inputs
        assert endpoint["serviceName"] == f"com.amazonaws.{REGION}.{service}"
        assert set(endpoint["routeTableIds"]) == tables
