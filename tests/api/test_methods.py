"""HEAD and OPTIONS, which monitors, proxies and browsers use and no route mentions."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from tests.api.world import TestClock, World, served, submitted, world

from penstock_backbone.telemetry import silent

pytestmark = pytest.mark.anyio


async def test_options_lists_every_method_that_the_documentation_has() -> None:
    async with world("agent_build") as (_, client):
        project = await submitted(client)
        paths = (await client.get("/openapi.json")).json()["paths"]
        for path, methods in paths.items():
            address = path.format(project_id=project["id"], run_id=project["run_id"], kind="tenant", name="acme")
            answer = await client.options(address)
            assert answer.status_code == 204
            documented = {method.upper() for method in methods} | {"OPTIONS"}
            expected = documented | ({"HEAD"} if "get" in methods else set())
            assert answer.headers.get_list("allow") == [", ".join(sorted(expected))], path
            refused = await client.request("PATCH", address)
            assert (refused.status_code, refused.headers["allow"]) == (405, answer.headers["allow"]), path


async def test_head_says_what_get_would_without_a_body_even_of_a_stream() -> None:
    made = World(TestClock(), silent())
    await made.announce("agent_build")
    async with served(made) as address, httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as client:
        project = await submitted(client)
        of_project = f"/v1/projects/{project['id']}"
        for path in ("/healthz", "/docs", "/v1/projects", of_project, f"{of_project}x", f"{of_project}/events?after=x"):
            got, headed = await client.get(path), await client.head(path)
            assert headed.status_code == got.status_code
            assert headed.headers["content-type"] == got.headers["content-type"]
            assert headed.headers["content-length"] == got.headers["content-length"]
            assert headed.content == b""
        async with asyncio.timeout(5):
            stream = await client.head(f"{of_project}/events/stream")
        assert (stream.status_code, stream.content) == (200, b"")
        assert stream.headers["content-type"].startswith("text/event-stream")
        refused = await client.head(f"{of_project}/cancel")
        assert (refused.status_code, refused.content) == (405, b"")
        assert made.api.parts.hub.followed_runs == 0
    await made.api.close()


async def test_head_ends_its_answer_so_that_its_connection_serves_the_next_request() -> None:
    made = World(TestClock(), silent())
    async with served(made) as address:
        host, port = address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        for _ in range(2):
            writer.write(b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            async with asyncio.timeout(5):
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        writer.close()
    await made.api.close()
