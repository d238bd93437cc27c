"""A stage that ends its runner's process each time: its run fails in the end, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.product import Product

from penstock_orchestrator.handlers.sweep import ATTEMPTS_MAX
from penstock_runner.domain.dispatch import SUSPECT_LOSSES

pytestmark = pytest.mark.anyio
NEIGHBOURS = 3


@pytest.mark.slow
async def test_a_stage_that_exits_like_a_program_that_cannot_start_ends_neither_penstock_nor_its_neighbours(
    tmp_path: Path,
) -> None:
    async with Product(tmp_path / "data", "--workflows", "tests.e2e.fatal_workflow") as product:
        fatal = await product.submit(requirement="Exit each time", workflow="fatal")
        neighbours = [
            await product.submit(requirement="Work for a while", workflow="innocent") for _ in range(NEIGHBOURS)
        ]
        failed, *completed = await product.all_ended(fatal["id"], *(project["id"] for project in neighbours))
    assert (failed["status"], failed["run"]["attempt"]) == ("failed", ATTEMPTS_MAX)
    assert [project["status"] for project in completed] == ["completed"] * NEIGHBOURS
    assert max(project["run"]["attempt"] for project in completed) <= SUSPECT_LOSSES + 1
    assert product.output.count("runner-1 ended with exit code 1") == ATTEMPTS_MAX
