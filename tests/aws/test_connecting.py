"""A wrong address, stack or credential is told at the start, in one plain sentence."""

from __future__ import annotations

import socket

import pytest

from penstock_backbone.aws.engine import AwsSettings, connect
from penstock_backbone.aws.provision import provision
from penstock_backbone.aws.settings import Names
from penstock_backbone.errors import Fatal, Invalid
from penstock_backbone.inventory import INVENTORY
from penstock_backbone.vocabulary import Key, Put, Written

pytestmark = pytest.mark.anyio


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


async def test_an_unreachable_endpoint_is_named_with_what_to_do() -> None:
    endpoint = f"http://127.0.0.1:{closed_port()}"
    with pytest.raises(Fatal) as connecting:
        await connect(AwsSettings("dev", "us-east-1", endpoint))
    assert str(connecting.value) == (
        f"nothing answers as AWS at {endpoint}: start the emulator there or correct PENSTOCK_AWS_ENDPOINT"
    )
    with pytest.raises(Fatal, match="nothing answers as AWS"):
        await provision(AwsSettings("dev", "us-east-1", endpoint))


async def test_a_stack_that_does_not_exist_is_named(endpoint: str) -> None:
    with pytest.raises(Fatal, match="there is no stack 'nowhere'"):
        await connect(AwsSettings("nowhere", "us-east-1", endpoint))


async def test_the_cloud_is_not_provisioned_from_here() -> None:
    with pytest.raises(Invalid, match="pulumi"):
        await provision(AwsSettings("dev", "us-east-1"))


async def test_without_credentials_the_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(Fatal, match="no usable AWS credentials"):
        await connect(AwsSettings("dev", "us-east-1"))


async def test_a_proxy_in_the_environment_does_not_keep_the_emulator_away(
    settings: AwsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    engine = await connect(settings)
    await engine.close()


async def test_provisioning_again_keeps_what_is_there(settings: AwsSettings, pk: str) -> None:
    engine = await connect(settings)
    key = Key("limits", pk, "x")
    assert await engine.tables.write([Put(key, {"n": 1})]) == [Written()]
    await provision(settings)
    assert await engine.tables.get([key]) == [{"pk": pk, "sk": "x", "n": 1}]
    await engine.close()


@pytest.mark.parametrize(
    ("endpoint_url", "loopback"),
    [
        ("http://127.0.0.1:4566", True),
        ("http://localhost:4566", True),
        ("http://[::1]:4566", True),
        ("http://emulator:4566", False),
        ("https://dynamodb.us-east-1.amazonaws.com", False),
        (None, False),
    ],
)
async def test_only_an_emulator_on_this_machine_gets_dummy_credentials(
    endpoint_url: str | None,
    loopback: bool,  # noqa: FBT001  # pytest passes parameters by name
) -> None:
    assert AwsSettings("dev", "us-east-1", endpoint_url).is_loopback is loopback


async def test_the_region_is_where_boto3_looks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert AwsSettings.of("dev", None).region == "eu-west-1"
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert AwsSettings.of("dev", "http://127.0.0.1:1").region == "us-east-1"
    with pytest.raises(Fatal, match="AWS_REGION"):
        AwsSettings.of("dev", None)


async def test_physical_names_carry_the_stack() -> None:
    names = Names("penstock-dev", INVENTORY)
    assert names.physical("runs") == "penstock-dev-runs"
    assert names.logical("penstock-dev-runs") == "runs"
    with pytest.raises(Fatal, match="PENSTOCK_STACK"):
        names.logical("penstock-prod-runs")


def test_the_region_that_the_sentence_asks_for_is_the_one_that_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    assert AwsSettings.of("stack", None).region == "us-west-2"
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert AwsSettings.of("stack", None).region == "eu-central-1"
