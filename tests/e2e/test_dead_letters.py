"""`penstock dead-letters` beside a running `penstock up`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from tests.e2e.product import WAIT_SECONDS_MAX, Product

from penstock_backbone.vocabulary import Outgoing

pytestmark = pytest.mark.anyio


async def asked(product: Product, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "penstock_cli.main", "dead-letters", "--data", str(product.folder), *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        said, complained = await process.communicate()
    assert (process.returncode, complained.decode()) == (0, "")
    return said.decode()


async def test_a_letter_is_shown_and_tried_again_by_the_orchestrator(tmp_path: Path) -> None:
    async with Product(tmp_path / "data") as product:
        async with product.engine() as engine:
            assert await engine.queues.send("admission-dlq", [Outgoing("not a hint")]) == [None]
        said = await asked(product)
        assert said.startswith("admission: 1 dead letter\n  not a hint\ndispatch: 0 dead letters\n")
        assert f"{product.folder / 'logs'} says why" in said
        log = product.folder / "logs" / "orchestrator.log"
        assert "not a hint" not in log.read_text()
        assert "admission: 1 letter sent again" in await asked(product, "--redrive")
        await product.until(lambda: "A message of the queue admission cannot be read: not a hint" in log.read_text())
        assert (await asked(product)).startswith("admission: 0 dead letters\n")
