"""What keeps `penstock up` from starting is one plain sentence that says what to do, and an exit code."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.e2e.product import Product

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def running(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Product]:
    """One of its workflows cannot be served. For all who leave it as they found it."""
    folder = tmp_path_factory.mktemp("running")
    (folder / "broken_flows.py").write_text("WORKFLOWS = 3\n")
    async with Product(
        folder / "data", "--workflows", "broken_flows,tests.e2e.workflows", PYTHONPATH=f"{folder}:{Path.cwd()}"
    ) as product:
        yield product


async def refusal(product: Product) -> str:
    """The sentence; nothing else may have been said."""
    await product.begin()
    assert await product.ended() == 1
    (sentence,) = product.output.splitlines()
    assert sentence.startswith("penstock: ")
    return sentence


async def test_a_busy_port(tmp_path: Path) -> None:
    product = Product(tmp_path / "data")
    with socket.create_server(("127.0.0.1", product.port)):
        sentence = await refusal(product)
    assert f"Port {product.port} is in use" in sentence
    assert "--port" in sentence
    assert not (product.folder / "penstock.db").exists(), "something was started before the port was looked at"


async def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder")
    sentence = await refusal(Product(tmp_path / "data"))
    assert "cannot be written" in sentence
    assert "--data" in sentence


async def test_a_second_penstock_on_the_same_folder(running: Product, tmp_path: Path) -> None:
    second = Product(running.folder)
    second._output = tmp_path / "second.output"
    sentence = await refusal(second)
    assert f"process {running.process.pid}" in sentence
    assert "--data" in sentence


async def test_an_unknown_workflow_module(tmp_path: Path) -> None:
    sentence = await refusal(Product(tmp_path / "data", "--workflows", "no_such_flows"))
    assert "no workflow module no_such_flows" in sentence


async def test_an_aws_endpoint_that_does_not_answer(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
    product = Product(tmp_path / "data", PENSTOCK_ENGINE="aws", PENSTOCK_AWS_ENDPOINT=endpoint)
    sentence = await refusal(product)
    assert f"{endpoint} cannot be reached" in sentence
    assert "PENSTOCK_AWS_ENDPOINT" in sentence


async def test_origins_that_no_browser_would_send(tmp_path: Path) -> None:
    sentence = await refusal(Product(tmp_path / "data", PENSTOCK_ALLOWED_ORIGINS="*"))
    assert "PENSTOCK_ALLOWED_ORIGINS holds '*': list origins" in sentence


async def test_names_of_the_api_that_are_none(tmp_path: Path) -> None:
    sentence = await refusal(Product(tmp_path / "data", PENSTOCK_ALLOWED_HOSTS="penstock.example.com:8080"))
    assert "PENSTOCK_ALLOWED_HOSTS holds 'penstock.example.com:8080': list names without a scheme" in sentence


async def test_a_workflow_that_cannot_be_served_is_told_and_the_others_are_served(running: Product) -> None:
    await running.until(lambda: "All other workflows are served." in running.output)
    problems = [line for line in running.output.splitlines() if "✗" in line]
    broken = running.folder.with_name("broken_flows.py")
    assert problems == [f"  ✗ broken_flows: must have WORKFLOWS, a tuple of Workflow ({broken})"]
