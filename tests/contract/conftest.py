"""Every test of these suites runs over every engine, except where KNOWN_DIFFERENCES says that an emulator is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.contract.descriptions import read_once
from tests.contract.known_differences import KNOWN_DIFFERENCES, Difference, Test, failing
from tests.contract.rigs import RIGS, Rig

from penstock_backbone.engines import Engine
from penstock_backbone.system import SystemIds

CONNECTIONS = 2
TEST_SECONDS_MAX = 20.0
"""An engine that never answers fails its test and does not stop the suite."""

read_once()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", params=RIGS)
async def rig(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[Rig]:
    opened = await RIGS[request.param]()
    yield opened
    await opened.close()


@pytest.fixture
def engine(rig: Rig) -> Engine:
    return rig.engine


@pytest.fixture(scope="session")
async def connections(rig: Rig) -> AsyncIterator[list[Engine]]:
    """Other processes' views of the same engine."""
    engines = [await rig.another() for _ in range(CONNECTIONS)]
    yield engines
    for engine in engines:
        await engine.close()


@pytest.fixture
def pk() -> str:
    """A partition of this test alone."""
    return SystemIds().new("pk")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A difference must show (so that a mended emulator is noticed) or is not tried at all."""
    here = Path(__file__).parent
    for item in items:
        if not isinstance(item, pytest.Function) or not asyncio.iscoroutinefunction(item.obj):
            continue
        if here not in item.path.parents:
            continue  # pytest shows this hook the tests of other folders too
        difference = known_difference(item)
        item.obj = limited(item.obj)
        if difference is not None and difference.raises is None:
            item.add_marker(pytest.mark.skip(reason=difference.reason))
        elif difference is not None:
            item.obj = failing(item.obj, difference)


def known_difference(item: pytest.Function) -> Difference | None:
    """Of the whole test or of this case of it, which is named as in the test's id, without the engine."""
    if not hasattr(item, "callspec"):
        return None
    engine = str(item.callspec.params.get("rig"))
    case = item.callspec.id.replace(f"{engine}-", "", 1)
    names = (item.originalname, f"{item.originalname}[{case}]")
    return next((KNOWN_DIFFERENCES[engine, name] for name in names if (engine, name) in KNOWN_DIFFERENCES), None)


def limited(test: Test) -> Test:
    """Not marked as a wrapper: pytest then cuts a traceback here, instead of reading all the files above it."""

    async def within(**arguments: object) -> None:
        async with asyncio.timeout(TEST_SECONDS_MAX):
            await test(**arguments)

    return within
