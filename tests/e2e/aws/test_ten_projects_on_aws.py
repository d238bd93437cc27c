"""The same ten projects through boto3: DynamoDB and its streams, EventBridge, SQS and S3, as the emulator plays them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.e2e import audit, test_shards, test_verbs
from tests.e2e.packages import check_packages, fetch
from tests.e2e.product import Product

from penstock_backbone.aws.settings import AwsSettings
from penstock_cli.demo.requests import REQUESTS

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
LIMIT = 5


def product_on(stack: AwsSettings, folder: Path, *arguments: str) -> Product:
    assert stack.endpoint_url is not None
    return Product(
        folder, *arguments,
        PENSTOCK_ENGINE="aws", PENSTOCK_STACK=stack.stack, PENSTOCK_AWS_ENDPOINT=stack.endpoint_url,
    )  # fmt: skip


async def submit_all(product: Product) -> list[str]:
    projects = await asyncio.gather(*(product.submit(**request._asdict()) for request in REQUESTS))
    return [project["id"] for project in projects]


async def check_feed(stack: AwsSettings) -> None:
    feed = await audit.changes_on_aws(stack)
    runs = audit.runs(feed)
    assert audit.most_granted(feed) == LIMIT
    assert audit.tokens_left(feed) == set()
    assert [run["state"] for run in runs] == ["succeeded"] * len(REQUESTS)
    assert [broken for run in runs for broken in audit.broken_promises(run)] == []


async def test_ten_projects_are_built_and_never_more_than_five_at_once(stack: AwsSettings, tmp_path: Path) -> None:
    async with product_on(stack, tmp_path / "data", "--limit", str(LIMIT)) as product:
        projects = await product.all_ended(*await submit_all(product))
        runs = [project["run_id"] for project in projects]
        packages = await asyncio.gather(*(fetch(product, run_id, tmp_path / run_id) for run_id in runs))
    assert {project["status"] for project in projects} == {"completed"}
    check_packages(packages)
    await check_feed(stack)


async def test_a_killed_penstock_is_finished_by_the_next_one(stack: AwsSettings, tmp_path: Path) -> None:
    """On AWS nobody owns the tables alone: the dead runner's lease has to run out."""
    first = product_on(stack, tmp_path / "data", "--limit", str(LIMIT))
    await first.start()
    ids = await submit_all(first)
    await first.some_stages_done(*ids)
    await first.kill_all()
    async with product_on(stack, tmp_path / "data") as second:
        projects = await second.all_ended(*ids)
    assert {project["status"] for project in projects} == {"completed"}
    await check_feed(stack)


async def test_the_number_of_shards_changes_while_everything_runs(stack: AwsSettings, tmp_path: Path) -> None:
    async with product_on(stack, tmp_path / "data", *test_shards.OWN_WORKFLOWS) as product:
        await test_shards.reshard(product)
    feed = await audit.changes_on_aws(stack)
    assert audit.most_granted(feed) <= LIMIT
    test_shards.check_feed(feed)


async def test_runs_wait_and_are_paused_and_begun_anew(stack: AwsSettings, tmp_path: Path) -> None:
    async with product_on(stack, tmp_path / "data", *test_verbs.OWN_WORKFLOWS) as product:
        await test_verbs.approved_after_a_wait(product, kill=False)
    feed = await audit.changes_on_aws(stack)
    assert audit.most_granted(feed) == 1
    assert audit.tokens_left(feed) == set()


async def test_up_names_a_stack_that_is_not_there(stack: AwsSettings, tmp_path: Path) -> None:
    assert stack.endpoint_url is not None
    product = Product(
        tmp_path / "data",
        PENSTOCK_ENGINE="aws", PENSTOCK_STACK="penstock-other", PENSTOCK_AWS_ENDPOINT=stack.endpoint_url,
    )  # fmt: skip
    await product.begin()
    assert await product.ended() == 1
    assert "there is no stack 'penstock-other'" in product.output
