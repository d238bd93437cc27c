"""Every test of these suites runs over every engine, except where KNOWN_DIFFERENCES says that an emulator is wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.contract.known_differences import KNOWN_DIFFERENCES
from tests.contract.rigs import RIGS, Rig

from penstock_backbone.engines import Engine
from penstock_backbone.system import SystemIds


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", params=RIGS)
async def rig(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[Rig]:
    opened = RIGS[request.param]()
    yield opened
    await opened.close()


@pytest.fixture
def engine(rig: Rig) -> Engine:
    return rig.engine


@pytest.fixture
def pk() -> str:
    """A partition of this test alone."""
    return SystemIds().new("pk")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A difference is expected to show (strictly, so that a mended emulator is noticed) or is not tried at all."""
    for item in items:
        call = getattr(item, "callspec", None)
        name = call.params.get("rig") if call else None
        difference = KNOWN_DIFFERENCES.get((name, item.originalname)) if isinstance(item, pytest.Function) else None
        if difference is None:
            continue
        if difference.tried:
            item.add_marker(pytest.mark.xfail(reason=difference.reason, strict=True))
        else:
            item.add_marker(pytest.mark.skip(reason=difference.reason))
