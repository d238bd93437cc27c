"""One event loop for the asynchronous tests of this folder, and an empty in-memory engine for each."""

from __future__ import annotations

import pytest

from penstock_backbone.memory import MemoryEngine
from penstock_backbone.ports import Tables
from penstock_backbone.system import SystemClock, SystemIds


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def tables() -> Tables:
    return MemoryEngine(SystemClock(), SystemIds()).tables
