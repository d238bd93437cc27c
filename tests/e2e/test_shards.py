"""The number of shards is changed while runs wait and run, and the orchestrator is killed in the middle of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.e2e import audit
from tests.e2e.product import CLOCK, Product

from penstock_backbone.records.limits import SHARDS
from penstock_backbone.records.tokens import HELD

pytestmark = pytest.mark.anyio
LIMIT = 5
OWN_WORKFLOWS = ("--workflows", "tests.e2e.workflows", "--limit", str(LIMIT))
OF_EACH = 4
TENANTS = ("acme", "bronze", "clover")
"""Of two shards the second, the first, the first; of three the second, the first, the third."""


async def submit_many(product: Product) -> dict[str, list[str]]:
    """The ids of each tenant's projects."""

    async def of(tenant: str) -> list[str]:
        bodies = [{"requirement": f"Take seven steps, number {n}", "workflow": "seven_steps"} for n in range(OF_EACH)]
        return [project["id"] for project in await asyncio.gather(*(product.submit(tenant, **each) for each in bodies))]

    return dict(zip(TENANTS, await asyncio.gather(*map(of, TENANTS)), strict=True))


async def spread(product: Product, shards: int) -> None:
    async with product.client() as client:
        answer = await client.put(f"/v1/limits/{SHARDS}", json={"limit": shards})
    assert answer.status_code == 200, answer.text


async def until_spread(product: Product, shards: int) -> None:
    async def held() -> int:
        async with product.client() as client:
            found: int = (await client.get(f"/v1/limits/{SHARDS}")).json()["held"]
            return found

    while await held() != shards:
        await CLOCK.sleep(0.05)


async def reshard(product: Product) -> None:
    """While twelve projects of three tenants are built, all of which end."""
    ids = await submit_many(product)
    await spread(product, 3)
    await until_spread(product, 3)
    await spread(product, 2)
    await product.kill("orchestrator")
    await until_spread(product, 2)
    ended = [await product.all_ended(*some, tenant=tenant) for tenant, some in ids.items()]
    assert [project["status"] for some in ended for project in some] == ["completed"] * len(TENANTS) * OF_EACH


def check_feed(feed: Sequence[audit.Change]) -> None:
    assert audit.tokens_left(feed) == set()
    assert [broken for run in audit.runs(feed) for broken in audit.broken_promises(run)] == []
    tokens = [(key.pk, item) for key, item in feed if key.pk.startswith("TK#") and item is not None]
    assert len({shard for shard, item in tokens if item["st"] == HELD}) > 1


async def test_every_limit_holds_and_everything_finishes(tmp_path: Path) -> None:
    async with Product(tmp_path / "data", *OWN_WORKFLOWS) as product:
        await reshard(product)
    feed = audit.changes(product.folder)
    assert audit.most_held(feed) == LIMIT
    check_feed(feed)
