"""A stack says which model drafts; the runners get it, the right to ask it, and its key, and nobody else does."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import unquote

import pytest
from tests.infra.conftest import DEV
from tests.infra.recorder import ACCOUNT, REGION, Program, run_program
from tests.infra.test_permissions import allowed, grants, units
from tests.infra.test_wiring import container, environment
from tests.runner.models.service import conversation, serving

from penstock_infra.permissions import ask_bedrock
from penstock_runner.adapters.models.bedrock import Bedrock
from penstock_runner.workflows.building.service.chat import Question, Turn

PROFILE = "eu.anthropic.claude-sonnet-4-20250514-v1:0"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:model-key-abc"
ASK = "bedrock:InvokeModelWithResponseStream"
ACTION_OF_PATH = {"converse-stream": ASK}
"""AWS names the action of ConverseStream so; Converse, which we do not use, would be bedrock:InvokeModel."""


@pytest.fixture(scope="module")
def gateway() -> Program:
    """A stack whose model is behind a service of its own."""
    return run_program(
        DEV
        | {
            "penstock:model": "gpt-4o-mini",
            "penstock:modelUrl": "http://models.example.com:8000/v1",
            "penstock:modelKeySecretArn": SECRET,
            "penstock:sandbox": "warn",
        }
    )


def bedrock_rights(program: Program) -> dict[str, set[tuple[str, str]]]:
    return {
        unit: found
        for unit in units(program)
        if (found := {grant for grant in grants(program, unit) if grant[0].startswith("bedrock:")})
    }


def test_without_a_model_nobody_may_ask_one_and_the_offline_drafter_drafts(dev: Program) -> None:
    assert bedrock_rights(dev) == {}
    assert not {name for name in environment(dev, "runner") if name.startswith("PENSTOCK_MODEL")}
    assert environment(dev, "runner")["PENSTOCK_SANDBOX"] == "warn"


def test_the_runner_may_ask_the_model_that_the_stack_names_and_does_just_that(
    prod: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the adapter really sends is compared with what the role allows."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "test")

    async def asked() -> str:
        paths: list[str] = []

        def script(path: str, _: object) -> object:
            paths.append(unquote(path))
            return conversation("{}")

        async with serving(script) as service:  # type: ignore[arg-type]  # it answers, and notes the path
            await Bedrock(PROFILE, REGION, service.url).ask(Question("You draft.", [Turn("user", "Hello")], "Word", {}))
        return paths[0]

    _, kind, model, operation = asyncio.run(asked()).split("/")
    assert (kind, model) == ("model", PROFILE)
    assert environment(prod, "runner")["PENSTOCK_MODEL"] == f"bedrock:{model}"
    assert bedrock_rights(prod) == {
        "runner": {
            (ACTION_OF_PATH[operation], f"arn:aws:bedrock:{REGION}:{ACCOUNT}:inference-profile/{PROFILE}"),
            (ACTION_OF_PATH[operation], "arn:aws:bedrock:*::foundation-model/anthropic.claude-sonnet-4-20250514-v1:0"),
        }
    }


def test_a_model_of_the_region_needs_no_profile() -> None:
    statement = ask_bedrock("anthropic.claude-x-v1:0", REGION, ACCOUNT)
    assert statement.resources == [f"arn:aws:bedrock:{REGION}::foundation-model/anthropic.claude-x-v1:0"]


def test_what_a_model_writes_runs_in_a_sandbox_or_not_at_all_unless_the_stack_says_otherwise(
    prod: Program, gateway: Program
) -> None:
    assert environment(prod, "runner")["PENSTOCK_SANDBOX"] == "require"
    assert environment(gateway, "runner")["PENSTOCK_SANDBOX"] == "warn"


def test_a_service_of_ones_own_gets_its_address_a_way_out_and_its_key(gateway: Program) -> None:
    told = environment(gateway, "runner")
    assert (told["PENSTOCK_MODEL"], told["PENSTOCK_MODEL_URL"]) == ("gpt-4o-mini", "http://models.example.com:8000/v1")
    assert bedrock_rights(gateway) == {}
    assert {rule.inputs["fromPort"] for rule in gateway.of_type("SecurityGroupEgressRule")} == {8080, 443, 8000}
    assert container(gateway, "runner")["secrets"] == [{"name": "PENSTOCK_MODEL_KEY", "valueFrom": SECRET}]
    assert SECRET not in json.dumps(environment(gateway, "runner"))


def test_only_the_start_of_a_runner_may_read_the_key(gateway: Program, prod: Program) -> None:
    readers = {
        unit for unit in units(gateway) if ("secretsmanager:GetSecretValue", SECRET) in set(grants(gateway, unit))
    }
    assert readers == {"runner-execution"}
    assert container(gateway, "api")["secrets"] == container(prod, "runner")["secrets"] == []
    ((unit, key),) = (
        (unit, each) for unit in units(gateway) for each in allowed(gateway, unit) if "kms:Decrypt" in each["Action"]
    )
    assert (unit, key["Action"], key["Resource"]) == ("runner-execution", ["kms:Decrypt"], ["*"])
    assert key["Condition"] == {"StringEquals": {"kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com"}}
    assert not [unit for unit in units(prod) if ("kms:Decrypt", "*") in set(grants(prod, unit))]
