"""One emulator for the session, with the product's own resources on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.contract.descriptions import read_once
from tests.contract.ministack import running_ministack

from penstock_backbone.aws.engine import AwsEngine, AwsSettings, connect
from penstock_backbone.aws.provision import provision
from penstock_backbone.system import SystemIds

read_once()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    with running_ministack() as emulator:
        yield emulator.endpoint


@pytest.fixture(scope="session")
async def settings(endpoint: str, anyio_backend: str) -> AwsSettings:
    made = AwsSettings("test", "us-east-1", endpoint)
    await provision(made)
    return made


@pytest.fixture(scope="session")
async def engine(settings: AwsSettings) -> AsyncIterator[AwsEngine]:
    connected = await connect(settings)
    yield connected
    await connected.close()


@pytest.fixture
def pk() -> str:
    """A partition of this test alone."""
    return SystemIds().new("pk")
