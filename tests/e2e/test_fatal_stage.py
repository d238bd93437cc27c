"""A stage that ends its runner's process each time: its run fails in the end, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.product import Product

from penstock_orchestrator.handlers.sweep import ATTEMPTS_MAX

pytestmark = pytest.mark.anyio


@pytest.mark.slow
async def test_a_stage_that_exits_like_a_program_that_cannot_start_never_ends_penstock(tmp_path: Path) -> None:
    async with Product(tmp_path / "data", "--workflows", "tests.e2e.workflows,tests.e2e.fatal_workflow") as product:
        fatal = await product.submit(requirement="Exit each time", workflow="fatal")
        (failed,) = await product.all_ended(fatal["id"])
        assert (failed["status"], failed["run"]["attempt"]) == ("failed", ATTEMPTS_MAX)
        fine = await product.submit(requirement="Take seven steps", workflow="seven_steps")
        (completed,) = await product.all_ended(fine["id"])
        assert (completed["status"], completed["run"]["attempt"]) == ("completed", 1)
    assert product.output.count("runner-1 ended with exit code 1") == ATTEMPTS_MAX
