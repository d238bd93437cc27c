"""Every role may do what its unit does, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.infra.conftest import PROD
from tests.infra.recorder import Program, arn, run_program

from penstock_infra.permissions import API, RIGHTS, RUNNER, SWEEP

TABLE = "aws:dynamodb/table:Table"
QUEUE = "aws:sqs/queue:Queue"
ROLE = "aws:iam/role:Role"


def allowed(program: Program, unit: str) -> list[dict[str, Any]]:
    policy = json.loads(program.one("RolePolicy", unit).inputs["policy"])
    statements: list[dict[str, Any]] = policy["Statement"]
    assert {statement["Effect"] for statement in statements} == {"Allow"}
    return statements


def grants(program: Program, unit: str) -> Iterator[tuple[str, str]]:
    for statement in allowed(program, unit):
        for resource in statement["Resource"]:
            for action in statement["Action"]:
                yield action, resource


def units(program: Program) -> list[str]:
    return [role.name.removeprefix(f"{program.stack}-") for role in program.of_type("RolePolicy")]


def test_every_unit_has_a_role_of_its_own_and_there_are_no_others(program: Program) -> None:
    helpers = {"api-execution", "runner-execution", "sweep-tick"}
    assert set(units(program)) == set(RIGHTS) | helpers
    assert len(program.of_type("Role")) == len(units(program))


def test_no_action_is_a_wildcard_and_nobody_may_scan(program: Program) -> None:
    actions = {action for unit in units(program) for action, _ in grants(program, unit)}
    assert not {action for action in actions if "*" in action}
    assert not {action for action in actions if "Scan" in action or "DeleteTable" in action}


def test_only_logging_in_to_the_registry_has_no_resource(program: Program) -> None:
    everywhere = {action for unit in units(program) for action, resource in grants(program, unit) if resource == "*"}
    assert everywhere == {"ecr:GetAuthorizationToken"}


def test_a_wildcard_inside_a_resource_is_below_one_named_log_group_or_bucket_or_a_models_region(
    program: Program,
) -> None:
    partial = {
        resource
        for unit in units(program)
        for _, resource in grants(program, unit)
        if "*" in resource and resource != "*"
    }
    everywhere = {resource for resource in partial if resource.startswith("arn:aws:bedrock:*::foundation-model/")}
    assert all(resource.count("*") == 1 for resource in everywhere)
    for resource in partial - everywhere:
        assert resource.count("*") == 1
        assert resource.endswith((":*", "-artifacts/*"))
        assert program.stack in resource


def test_the_services_cannot_change_tokens_and_only_the_api_reads_them(program: Program) -> None:
    tokens = arn(TABLE, f"{program.stack}-tokens")
    allowed = {
        unit: {action for action, resource in grants(program, unit) if resource.startswith(tokens)}
        for unit in (API, RUNNER)
    }
    assert allowed == {API: {"dynamodb:BatchGetItem", "dynamodb:GetItem"}, RUNNER: set()}


def test_the_api_writes_a_users_wishes_to_runs_and_cannot_delete_them(program: Program) -> None:
    runs = arn(TABLE, f"{program.stack}-runs")
    actions = {action for action, resource in grants(program, API) if resource == runs}
    reads = {"dynamodb:BatchGetItem", "dynamodb:GetItem"}
    assert actions == reads | {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:PartiQLUpdate"}


def test_an_index_can_only_be_queried(program: Program) -> None:
    on_indexes = {
        action for unit in units(program) for action, resource in grants(program, unit) if "/index/" in resource
    }
    assert on_indexes == {"dynamodb:Query"}


def test_the_api_reads_and_changes_limits_and_removes_none(program: Program) -> None:
    limits = arn(TABLE, f"{program.stack}-limits")
    granted = {action for action, resource in grants(program, API) if resource == limits}
    assert {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem"} <= granted
    assert not {action for action in granted if "Delete" in action or "Scan" in action}


def test_every_unit_may_ask_whether_the_stack_exists(program: Program) -> None:
    sessions = arn(TABLE, f"{program.stack}-sessions")
    for unit in RIGHTS:
        assert ("dynamodb:GetItem", sessions) in set(grants(program, unit))


@pytest.mark.parametrize("unit", [RUNNER, SWEEP])
def test_nobody_but_api_and_admission_creates_runs_and_nobody_deletes_them(program: Program, unit: str) -> None:
    """Timers stand in the same table: whoever may create or delete there may do it under their key alone."""
    runs = arn(TABLE, f"{program.stack}-runs")
    on_runs = [statement for statement in allowed(program, unit) if runs in statement["Resource"]]
    actions = {action for statement in on_runs if "Condition" not in statement for action in statement["Action"]}
    assert "dynamodb:UpdateItem" in actions
    assert not actions & {"dynamodb:PutItem", "dynamodb:DeleteItem"}
    (limited,) = [statement for statement in on_runs if "Condition" in statement]
    assert limited["Condition"] == {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": "TIMERS"}}


def test_only_the_relay_publishes_and_only_as_this_product(program: Program) -> None:
    publishers = {
        unit for unit in units(program) for action, _ in grants(program, unit) if action == "events:PutEvents"
    }
    assert publishers == {"relay"}
    [statement] = [found for found in allowed(program, "relay") if found["Action"] == ["events:PutEvents"]]
    assert statement["Condition"] == {"StringEquals": {"events:source": "penstock"}}


def test_only_the_dispatcher_and_the_sweep_may_send_to_the_dispatch_queue(program: Program) -> None:
    dispatch = arn(QUEUE, f"{program.stack}-dispatch")
    senders = {unit for unit in units(program) if ("sqs:SendMessage", dispatch) in set(grants(program, unit))}
    assert senders == {"dispatcher", "sweep"}
    policy = json.loads(program.one("QueuePolicy", "dispatch").inputs["policy"])
    [statement] = policy["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Resource"]) == ("Deny", "*", dispatch)
    roles = [arn(ROLE, f"{program.stack}-{unit}") for unit in ("dispatcher", "sweep")]
    assert statement["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": roles}}


@pytest.mark.parametrize("queue", ["admission", "admission-dlq"])
def test_the_policy_of_the_admission_queue_lets_in_the_rule_and_nobody_else(program: Program, queue: str) -> None:
    [statement] = json.loads(program.one("QueuePolicy", queue).inputs["policy"])["Statement"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Action"] == "sqs:SendMessage"
    rule = arn("aws:cloudwatch/eventRule:EventRule", f"{program.stack}-admission")
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": [rule]}}


def test_lambda_may_pull_the_image_of_the_functions_and_no_other(program: Program) -> None:
    [found] = program.of_type("RepositoryPolicy")
    assert found.inputs["repository"] == f"{program.stack}-orchestrator-svc"
    [statement] = json.loads(found.inputs["policy"])["Statement"]
    functions = f"arn:aws:lambda:eu-central-1:123456789012:function:{program.stack}-*"
    assert statement["Condition"] == {"ArnLike": {"aws:SourceArn": functions}}


def test_services_are_trusted_only_on_behalf_of_this_account(program: Program) -> None:
    for role in program.of_type("Role"):
        [statement] = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
        if statement["Principal"]["Service"] != "lambda.amazonaws.com":
            assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_the_public_cannot_reach_the_bucket(program: Program) -> None:
    block = program.one("BucketPublicAccessBlock", "artifacts").inputs
    assert {name for name, value in block.items() if value is True} == {
        "blockPublicAcls",
        "blockPublicPolicy",
        "ignorePublicAcls",
        "restrictPublicBuckets",
    }
    [statement] = json.loads(program.one("BucketPolicy", "artifacts").inputs["policy"])["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_the_api_is_inside_the_network_unless_clients_are_named(dev: Program, prod: Program) -> None:
    assert dev.one("LoadBalancer", "api").inputs["internal"] is True
    assert dev.one("SecurityGroupIngressRule", "client-10.62.0.0-16").inputs["cidrIpv4"] == "10.62.0.0/16"
    assert prod.one("LoadBalancer", "api").inputs["internal"] is False
    rule = prod.one("SecurityGroupIngressRule", "client-203.0.113.0-24").inputs
    assert (rule["cidrIpv4"], rule["fromPort"]) == ("203.0.113.0/24", 443)


def test_a_network_keeps_its_rule_when_others_are_taken_off_the_list() -> None:
    """One rule that is turned into another's would meet that other, which still stands: AWS refuses duplicates."""

    def rules(*clients: str) -> dict[str, str]:
        ran = run_program(PROD | {"penstock:apiClientCidrs": json.dumps(clients)}, stack="prod")
        found = [rule for rule in ran.of_type("SecurityGroupIngressRule") if "-client-" in rule.name]
        return {rule.name: rule.inputs["cidrIpv4"] for rule in found}

    both = rules("203.0.113.0/24", "198.51.100.0/24", "203.0.113.0/24")
    assert len(both) == 2
    assert rules("198.51.100.0/24").items() <= both.items()


def test_nobody_may_open_a_connection_to_a_runner(program: Program) -> None:
    runner = f"{program.stack}-runner-id"
    assert runner not in {rule.inputs["securityGroupId"] for rule in program.of_type("SecurityGroupIngressRule")}
