"""Under which names the API may be asked: no page can have a name of its own point here and pass for the API's own page."""

from __future__ import annotations

import httpx
import pytest
import websockets
from tests.api.test_bad_input import assert_problem
from tests.api.world import REQUIREMENT, TestClock, World, served, submitted, world

from penstock_api.hosts import Hosts
from penstock_backbone.environment import allowed_hosts
from penstock_backbone.errors import Fatal
from penstock_backbone.telemetry import silent

pytestmark = pytest.mark.anyio

REBOUND = {"Host": "rebound.example:8080"}


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "localhost:8080", "LOCALHOST.:8080", "penstock.localhost:8080", "127.0.0.1:8080", "[::1]:8080", "[::1]",
        "192.168.1.7:8080", "build-box.local", "Build-Box.local:8080", "api.example.com",
    ],
)  # fmt: skip
def test_this_machines_names_the_one_where_it_listens_and_those_that_are_listed_are_the_apis(host: str) -> None:
    listed = {"PENSTOCK_HOST": "Build-Box.local", "PENSTOCK_ALLOWED_HOSTS": " API.example.com, other.example.com,"}
    assert Hosts(allowed_hosts(listed)).stranger({"host": host}) is None


@pytest.mark.parametrize(
    "host",
    [
        "rebound.example", "rebound.example:8080", "localhost.rebound.example", "127.0.0.1.rebound.example", "notlocalhost",
        "[rebound.example]:8080", "rebound.example:80:80", "a@localhost", "8080",
    ],
)  # fmt: skip
def test_any_other_name_is_none_of_the_apis(host: str) -> None:
    assert Hosts(allowed_hosts({})).stranger({"host": host}) == host
    assert Hosts(allowed_hosts({"PENSTOCK_ALLOWED_HOSTS": "*"})).stranger({"host": host}) is None


def test_a_program_that_sends_no_name_is_served() -> None:
    assert Hosts(allowed_hosts({})).stranger({}) is None


@pytest.mark.parametrize(
    "listed", ["https://a.example.com", "a.example.com:80", "*.example.com", "a b", "grüße.example"]
)
def test_what_is_no_name_is_refused_with_a_sentence(listed: str) -> None:
    with pytest.raises(Fatal, match=r"PENSTOCK_ALLOWED_HOSTS holds .*: list names without a scheme and a port"):
        allowed_hosts({"PENSTOCK_ALLOWED_HOSTS": listed})


async def test_a_page_whose_name_was_made_to_point_here_reads_nothing_and_changes_nothing() -> None:
    """As a browser sends it: to it the API is the page's own site."""
    own = REBOUND | {"Origin": "http://rebound.example:8080", "Sec-Fetch-Site": "same-origin"}
    async with world("agent_build") as (made, client):
        project = await submitted(client)
        written = made.items_written
        refused = await client.post("/v1/projects", json={"requirement": REQUIREMENT}, headers=own)
        assert_problem(refused, 421, "unknown-host")
        assert refused.json()["detail"] == (
            "The API does not go by the name rebound.example:8080: ask it as localhost or by an IP address, or list the name in "
            "PENSTOCK_ALLOWED_HOSTS."
        )
        for path in ("/v1/projects", f"/v1/projects/{project['id']}", "/docs", "/healthz", "/nothing"):
            assert_problem(await client.get(path, headers=own), 421, "unknown-host")
            head = await client.head(path, headers=own)
            assert (head.status_code, head.content) == (421, b"")
        assert (await client.options("/v1/projects", headers=own)).status_code == 421
        assert made.items_written == written


async def test_it_opens_no_stream_either() -> None:
    made = World(TestClock(), silent())
    await made.announce("agent_build")
    async with served(made) as address, httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as client:
        stream = f"/v1/projects/{(await submitted(client))['id']}"
        assert_problem(await client.get(f"{stream}/events/stream", headers=REBOUND), 421, "unknown-host")
        host, port = address.split(":")
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(f"ws://rebound.example:8080{stream}/stream", host=host, port=int(port))
        assert refused.value.response.status_code == 421
        assert b"unknown-host" in refused.value.response.body
    await made.api.close()
