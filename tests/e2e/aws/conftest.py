"""The emulator, with everything that the inventory names."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.contract.ministack import running_ministack

from penstock_backbone.aws.provision import provision
from penstock_backbone.aws.settings import AwsSettings


@pytest.fixture
async def stack(anyio_backend: str) -> AsyncIterator[AwsSettings]:
    assert anyio_backend == "asyncio"
    with running_ministack() as emulator:
        settings = AwsSettings.of("penstock-e2e", emulator.endpoint)
        await provision(settings)
        yield settings
