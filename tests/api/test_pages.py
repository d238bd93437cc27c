"""What a page in somebody's browser may do: one of the same address everything, an allowed one too, any other change nothing."""

from __future__ import annotations

import httpx
import pytest
import websockets
from tests.api.test_bad_input import assert_problem
from tests.api.world import REQUIREMENT, TestClock, World, served, submitted, world

from penstock_api.origins import Origins
from penstock_backbone.environment import allowed_origins
from penstock_backbone.errors import Fatal
from penstock_backbone.telemetry import silent

pytestmark = pytest.mark.anyio

APP = "https://app.example.com"
SHOP = "https://shop.example"
ALLOWED = frozenset({APP})
BODY = {"requirement": REQUIREMENT}


@pytest.mark.parametrize(
    "asks",
    [
        {"Origin": SHOP},
        {"Origin": "null"},
        {"Origin": SHOP, "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://other.api", "Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_a_page_of_another_address_cannot_start_or_change_anything(asks: dict[str, str]) -> None:
    async with world("agent_build") as (made, client):
        submit = await client.post("/v1/projects", json=BODY, headers=asks)
        assert_problem(submit, 403, "foreign-page")
        assert_problem(await client.put("/v1/limits/fleet", json={"limit": 99}, headers=asks), 403, "foreign-page")
        assert made.items_written == 0
        assert (await client.get("/v1/projects", headers=asks)).status_code == 200


@pytest.mark.parametrize(
    "asks",
    [
        {},
        {"Origin": "http://api"},
        {"Origin": SHOP, "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=["a program", "an old browser", "behind a proxy that renames the host", "typed by a person"],
)
async def test_programs_and_pages_of_the_same_address_are_served(asks: dict[str, str]) -> None:
    async with world("agent_build") as (_, client):
        answer = await client.post("/v1/projects", json=BODY, headers=asks)
        assert answer.status_code == 201
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_an_allowed_page_may_ask_read_and_send_its_headers() -> None:
    asks = {"Origin": APP, "Sec-Fetch-Site": "cross-site"}
    async with world("agent_build", origins=ALLOWED) as (_, client):
        wants = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        before = await client.options("/v1/projects", headers=asks | wants)
        assert before.status_code == 204
        assert before.headers["access-control-allow-origin"] == APP
        assert "POST" in before.headers["access-control-allow-methods"]
        assert {"content-type", "idempotency-key", "penstock-tenant", "last-event-id"} <= set(
            before.headers["access-control-allow-headers"].split(", ")
        )
        made = await client.post("/v1/projects", json=BODY, headers=asks)
        assert made.status_code == 201
        assert made.headers["access-control-allow-origin"] == APP
        assert "Location" in made.headers["access-control-expose-headers"]
        refused = await client.post("/v1/projects", json={}, headers=asks)
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (400, APP)


async def test_other_pages_are_told_nothing_and_caches_keep_the_answers_apart() -> None:
    async with world("agent_build", origins=ALLOWED) as (_, client):
        for asks in ({"Origin": SHOP}, {}):
            answer = await client.get("/v1/projects", headers=asks)
            assert "access-control-allow-origin" not in answer.headers
            assert answer.headers["vary"] == "Origin"
        assert_problem(await client.post("/v1/projects", json=BODY, headers={"Origin": SHOP}), 403, "foreign-page")


async def test_an_allowed_page_reads_a_stream() -> None:
    made = World(TestClock(), silent(), ALLOWED)
    await made.announce("agent_build")
    async with served(made) as address, httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as client:
        project = await submitted(client)
        stream = f"/v1/projects/{project['id']}/events/stream"
        async with client.stream("GET", stream, headers={"Origin": APP}) as answer:
            assert answer.headers["access-control-allow-origin"] == APP
    await made.api.close()


async def test_a_browser_names_its_tenant_in_the_address_of_a_stream_and_a_header_counts_more() -> None:
    made = World(TestClock(), silent())
    await made.announce("agent_build")
    acme = {"Penstock-Tenant": "acme"}
    async with served(made) as address, httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as client:
        project = (await client.post("/v1/projects", json=BODY, headers=acme)).json()
        events = f"/v1/projects/{project['id']}/events/stream"
        assert (await client.head(f"{events}?tenant=acme")).status_code == 200
        assert_problem(
            await client.get(f"{events}?tenant=acme", headers={"Penstock-Tenant": "other"}), 404, "not-found"
        )
        assert_problem(await client.get(events), 404, "not-found")
        assert_problem(await client.get(f"{events}?tenant=ACME"), 400, "invalid-request")
        socket = f"ws://{address}/v1/projects/{project['id']}/stream"
        async with websockets.connect(f"{socket}?tenant=acme") as heard:
            assert '"ProjectCreated"' in str(await heard.recv())
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(socket)
    await made.api.close()


def test_origins_are_listed_with_commas_between_them() -> None:
    listed = " https://app.example.com, http://localhost:5173,http://[::1]:5173 ,"
    found = allowed_origins({"PENSTOCK_ALLOWED_ORIGINS": listed})
    assert found == {APP, "http://localhost:5173", "http://[::1]:5173"}
    assert allowed_origins({}) == frozenset()
    assert Origins(found).stranger({"origin": "http://localhost:5173", "host": "localhost:8080"}) is None


@pytest.mark.parametrize(
    "listed", ["*", "app.example.com", "https://app.example.com/", "HTTPS://App.example.com", "ftp://a", "https://a b"]
)
def test_what_no_browser_would_send_as_an_origin_is_refused_with_a_sentence(listed: str) -> None:
    with pytest.raises(Fatal, match=r"PENSTOCK_ALLOWED_ORIGINS holds .*: list origins as browsers name them"):
        allowed_origins({"PENSTOCK_ALLOWED_ORIGINS": listed})
