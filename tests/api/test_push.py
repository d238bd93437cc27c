"""Push over a real server: every event once, in order, from any sequence on, however often a client leaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import httpx
import pytest
import websockets
from tests.api.followers import by_sse, by_websocket, live, restless
from tests.api.world import STAGES, World, served, submitted, world

from penstock_api.application import create_application
from penstock_api.hosts import Hosts
from penstock_api.origins import Origins
from penstock_api.push import sse
from penstock_api.push.hub import Hub
from penstock_backbone.records.runs import RunItem, commit_facts, fact
from penstock_backbone.system import SystemClock

pytestmark = pytest.mark.anyio


def sequences(events: list[dict[str, dict[str, int]]]) -> list[int]:
    return [event["metadata"]["sequence"] for event in events]


async def quiet(made: World) -> None:
    """Everybody has left, and the process has noticed."""
    async with asyncio.timeout(5):
        while made.api.parts.hub.followed_runs:  # noqa: ASYNC110  # the server notices in its own time
            await asyncio.sleep(0.01)  # noqa: TID251  # the loop's own time, until the server has noticed


async def test_restless_clients_see_every_event_once_and_in_order() -> None:
    async with world("agent_build", clock=SystemClock()) as (made, client), served(made) as address:
        project = await submitted(client)
        running = asyncio.create_task(live(made, project["id"], facts=60, seconds_between=0.01))
        last = 66
        seen = await asyncio.wait_for(
            asyncio.gather(*(restless(address, project["id"], last, seed) for seed in range(12))), 20
        )
        run = await running
        assert run["seq"] == last
        page = (await client.get(f"/v1/projects/{project['id']}/events?limit=1000")).json()
        for events in seen:
            assert sequences(events) == list(range(1, last + 1))
            assert events == page["events"]
        await quiet(made)


async def progress_events(address: str, project_id: str, count: int) -> list[dict[str, Any]]:
    """The first few, as a browser hears them; they have no id, so they change nothing for a reconnection."""
    found: list[dict[str, Any]] = []
    url = f"http://{address}/v1/projects/{project_id}/events/stream"
    async with (
        httpx.AsyncClient(trust_env=False, timeout=20, verify=False) as client,
        client.stream("GET", url) as answer,
    ):
        text = ""
        async for piece in answer.aiter_text():
            text += piece
            *messages, text = text.split("\n\n")
            for message in messages:
                if message.startswith("event: progress\n"):
                    assert "id:" not in message
                    found.append(json.loads(message.partition("data: ")[2]))
                    if len(found) == count:
                        return found
    return found


async def test_progress_is_pushed_between_the_events_and_is_none_of_them() -> None:
    async with world("agent_build", clock=SystemClock()) as (made, client), served(made) as address:
        project = await submitted(client)
        run = await made.claim(await made.enqueue(project["id"]))
        hearing = asyncio.create_task(progress_events(address, project["id"], 2))
        for thousandths in (250, 500):
            await quiet_until_followed(made)
            update = commit_facts(
                run["pk"], fence=run["fence"], seq=run["seq"], facts=[], results={}, at=run["at"],
                progress={"draft": [thousandths, "writing"]},
            )  # fmt: skip
            run = await made.update(update)
            await SystemClock().sleep(0.1)
        heard = await asyncio.wait_for(hearing, 10)
        assert heard == [
            {"run_id": run["pk"], "stages": {"draft": {"fraction": part, "line": "writing"}}} for part in (0.25, 0.5)
        ]
        page = (await client.get(f"/v1/projects/{project['id']}/events?limit=1000")).json()
        assert sequences(page["events"]) == list(range(1, run["seq"] + 1))


async def test_a_websocket_gets_progress_when_it_asks_for_it_once_a_second_and_the_newest() -> None:
    async with world("agent_build", clock=SystemClock()) as (made, client), served(made) as address:
        project = await submitted(client)
        run = await made.claim(await made.enqueue(project["id"]))
        last = run["seq"] + 40
        url = f"ws://{address}/v1/projects/{project['id']}/stream"
        async with (
            websockets.connect(f"{url}?after=1&progress=1", max_queue=None) as asking,
            websockets.connect(f"{url}?after=1", max_queue=None) as plain,
        ):
            working = asyncio.create_task(progress_with_every_fact(made, run, facts=40))
            heard: list[tuple[float, dict[str, Any]]] = []
            events: list[dict[str, Any]] = []
            async with asyncio.timeout(20):
                while len(events) < last - 1 or heard[-1][1]["stages"]["draft"]["line"] != "line 40":
                    message = json.loads(await asking.recv())
                    if "metadata" in message:
                        events.append(message)
                    else:
                        assert message.keys() == {"progress"}
                        heard.append((SystemClock().monotonic(), message["progress"]))
                run = await working
                alone = [json.loads(await plain.recv()) for _ in range(last - 1)]
        assert sequences(events) == sequences(alone) == list(range(2, last + 1))
        assert heard[-1][1] == {"run_id": run["pk"], "stages": {"draft": {"fraction": 1.0, "line": "line 40"}}}
        times = [at for at, _ in heard]
        assert 2 <= len(heard) <= 5
        assert all(after - before > 0.9 for before, after in pairwise(times))


async def progress_with_every_fact(made: World, run: RunItem, *, facts: int) -> RunItem:
    for number in range(1, facts + 1):
        said: dict[str, list[Any]] = {"draft": [1000 * number // facts, f"line {number}"]}
        run = await made.commit(run, fact("StageStarted", run["at"] + 1, stage="draft", attempt=number), progress=said)
        await SystemClock().sleep(0.05)
    return run


async def quiet_until_followed(made: World) -> None:
    async with asyncio.timeout(5):
        while not made.api.parts.hub.followed_runs:  # the server notices in its own time
            await SystemClock().sleep(0.01)


@pytest.mark.parametrize("follow", [by_websocket, by_sse])
async def test_a_stream_ends_by_itself_after_the_last_event(follow: type) -> None:
    async with world("agent_build", clock=SystemClock()) as (made, client), served(made) as address:
        project = await submitted(client)
        running = asyncio.create_task(live(made, project["id"], facts=3, seconds_between=0.02))
        events = [event async for event in follow(address, project["id"], 0)]
        assert sequences(events) == list(range(1, (await running)["seq"] + 1))
        assert events[-1]["metadata"]["type"] == "RunSucceeded"
        assert [event async for event in follow(address, project["id"], len(events))] == []
        assert sequences([event async for event in follow(address, project["id"], 4)]) == list(
            range(5, len(events) + 1)
        )


async def test_a_finished_websocket_closes_with_1000() -> None:
    async with world("agent_build", clock=SystemClock()) as (made, client), served(made) as address:
        project = await submitted(client)
        await live(made, project["id"], facts=0, seconds_between=0)
        async with websockets.connect(f"ws://{address}/v1/projects/{project['id']}/stream", max_queue=None) as socket:
            with contextlib.suppress(websockets.ConnectionClosedOK):
                while True:
                    await socket.recv()
            assert socket.close_code == 1000


async def test_an_event_arrives_soon_after_its_commit() -> None:
    clock = SystemClock()
    async with world("agent_build", clock=clock) as (made, client), served(made) as address:
        project = await submitted(client)
        run = await made.claim(await made.enqueue(project["id"]))
        stream = by_websocket(address, project["id"], run["seq"])
        following = asyncio.ensure_future(anext(aiter(stream)))
        await asyncio.sleep(0.1)  # noqa: TID251  # until it waits
        committed = clock.monotonic()
        await made.commit(run, fact("StageStarted", run["at"] + 1, stage=STAGES[1], attempt=1))
        event = await asyncio.wait_for(following, 5)
        assert event["metadata"]["sequence"] == run["seq"] + 1
        assert clock.monotonic() - committed < 0.5


async def test_many_clients_of_one_run_cost_one_follower() -> None:
    async with world("agent_build", clock=SystemClock()) as (made, client), served(made) as address:
        project = await submitted(client)
        run = await made.claim(await made.enqueue(project["id"]))
        streams = [by_websocket(address, project["id"], 0) for _ in range(10)]
        for stream in streams:
            assert (await anext(aiter(stream)))["metadata"]["sequence"] == 1
        assert made.api.parts.hub.followed_runs == 1
        made.tables.calls.clear()
        await made.commit(run, fact("StageStarted", run["at"] + 1, stage=STAGES[1], attempt=1))
        for stream in streams:
            while (await anext(aiter(stream)))["metadata"]["sequence"] <= run["seq"]:
                pass
        assert len(made.tables.calls) <= 2
        for stream in streams:
            await stream.aclose()  # type: ignore[attr-defined]  # an async generator
        await quiet(made)


async def test_a_follower_survives_a_store_that_is_away() -> None:
    async with world("agent_build", clock=SystemClock()) as (made, client), served(made) as address:
        project = await submitted(client)
        stream = by_sse(address, project["id"], 0)
        assert (await anext(aiter(stream)))["metadata"]["sequence"] == 1
        made.tables.lose_requests["get"] = 2
        running = asyncio.create_task(live(made, project["id"], facts=2, seconds_between=0.01))
        rest = [event async for event in stream]
        assert sequences(rest) == list(range(2, (await running)["seq"] + 1))


async def test_a_browser_is_kept_company_while_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "PING_SECONDS", 0.05)
    async with world("agent_build", clock=SystemClock()) as (made, client), served(made) as address:
        project = await submitted(client)
        url = f"http://{address}/v1/projects/{project['id']}/events/stream"
        async with httpx.AsyncClient(trust_env=False) as browser, browser.stream("GET", url) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["cache-control"] == "no-store"
            lines = answer.aiter_lines()
            async with asyncio.timeout(5):
                while await anext(lines) != ": ping":
                    pass


async def test_too_many_streams_are_refused_and_room_comes_back() -> None:
    async with world("agent_build", clock=SystemClock()) as (made, client):
        hub = Hub(made.engine.tables, made.engine.watch, made.clock, streams_max=1)
        parts = replace(made.api.parts, hub=hub)
        made.api = replace(
            made.api, application=create_application(parts, Origins(frozenset()), Hosts(frozenset())), parts=parts
        )
        async with served(made) as address:
            project = await submitted(client)
            stream = by_websocket(address, project["id"], 0)
            await anext(aiter(stream))
            url = f"http://{address}/v1/projects/{project['id']}/events/stream"
            async with httpx.AsyncClient(trust_env=False) as browser:
                refused = await browser.get(url)
            assert (refused.status_code, refused.json()["type"]) == (503, "urn:penstock:problem:too-many-streams")
            assert refused.headers["retry-after"] == "1"
            with pytest.raises(websockets.InvalidStatus) as rejected:
                await anext(aiter(by_websocket(address, project["id"], 0)))
            assert rejected.value.response.status_code == 503
            await stream.aclose()  # type: ignore[attr-defined]  # an async generator
            await quiet(made)
            assert (await anext(aiter(by_sse(address, project["id"], 0))))["metadata"]["sequence"] == 1


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/v1/projects/prj_01KB5S6ZC1QG9VYH2N7D3T8XEM/stream", 404, "not-found"),
        ("/v1/projects/x/stream", 404, "not-found"),
        ("/v1/nowhere", 404, "not-found"),
        ("/v1/projects/x/stream?after=-1", 400, "invalid-request"),
        ("/v1/projects/x/stream?progress=yes", 400, "invalid-request"),
    ],
)
async def test_a_refused_websocket_gets_a_problem_document(path: str, status: int, kind: str) -> None:
    async with world("agent_build", clock=SystemClock()) as (made, _), served(made) as address:
        with pytest.raises(websockets.InvalidStatus) as refused:
            await anext(aiter(websockets.connect(f"ws://{address}{path}")))
        response = refused.value.response
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"
        assert response.body is not None
        assert json.loads(response.body)["type"] == f"urn:penstock:problem:{kind}"


async def test_what_a_client_says_is_ignored() -> None:
    async with world("agent_build", clock=SystemClock()) as (made, client), served(made) as address:
        project = await submitted(client)
        async with websockets.connect(f"ws://{address}/v1/projects/{project['id']}/stream") as socket:
            for _ in range(20):
                await socket.send("hello")
            assert json.loads(await socket.recv())["metadata"]["sequence"] == 1


async def test_a_client_that_takes_nothing_is_cut_off_and_delays_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "SEND_SECONDS_MAX", 0.3)
    async with world("agent_build", clock=SystemClock()) as (made, client), served(made) as address:
        project = await submitted(client)
        run = await made.claim(await made.enqueue(project["id"]))
        host, port = address.split(":")
        _, lazy = await asyncio.open_connection(host, int(port), limit=1024)
        lazy.write(f"GET /v1/projects/{project['id']}/events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        lazy.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport is a read transport
        for number in range(150):
            big = fact("StageFailed", run["at"] + 1, stage="a", attempt=number, duration_ms=1, error="E", message="m" * 2_000, final=False)  # fmt: skip
            run = await made.commit(run, big)
        await made.succeed(run)
        events = [event async for event in by_websocket(address, project["id"], 0)]
        assert len(events) == run["seq"] + 1
        lazy.close()
        await quiet(made)
