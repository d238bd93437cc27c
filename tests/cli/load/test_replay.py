"""A replay posts what the trace says when it is due, and does not wait for ever."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import httpx
import pytest
from tests.cli.load.runs import due

from penstock_backbone.system import SystemClock, SystemIds
from penstock_cli.asking import Asking
from penstock_cli.load.domain.course import Due
from penstock_cli.load.domain.figures import Outcome
from penstock_cli.load.replay import Replay
from penstock_cli.refusal import Refusal

pytestmark = pytest.mark.anyio
CLOCK = SystemClock()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Api:
    """Answers as the API does. `ends`: the last fact of every run, None for a run that goes on for ever."""

    def __init__(self, ends: str | None = "RunSucceeded", *, away: int = 0) -> None:
        self.ends = ends
        self.away = away
        self.posts: list[tuple[dict[str, Any], httpx.Headers]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            self.posts.append((json.loads(request.content), request.headers))
            if len(self.posts) <= self.away:
                return httpx.Response(503)
            return httpx.Response(201, json={"id": f"prj_{len(self.posts)}"})
        if request.url.path == "/v1/limits/fleet":
            return httpx.Response(200, json={"held": 0})
        kinds = ["ProjectCreated", "RunQueued", "RunAdmitted", *([self.ends] if self.ends else [])]
        events = [
            {"metadata": {"type": kind, "occurred_at": CLOCK.now().isoformat()}, "data": {"message": "no luck"}}
            for kind in kinds
        ]
        return httpx.Response(200, json={"events": events, "after": len(events), "ended": self.ends is not None})


async def play(api: Api, *dues: Due, seconds_max: float = 5.0) -> Outcome:
    async with httpx.AsyncClient(base_url="http://api", transport=httpx.MockTransport(api)) as client:
        return await Replay(Asking(client, CLOCK), dues, CLOCK, SystemIds()).play(seconds_max)


async def test_a_run_is_posted_as_the_trace_has_it_and_when_it_is_due() -> None:
    api = Api()
    began = CLOCK.monotonic()
    outcome = await play(api, due(0, 1, "acme", input_tokens=7), due(0.3, 2, "zeta"))
    assert CLOCK.monotonic() - began >= 0.3
    (first, headers), (second, _) = api.posts
    assert headers["Penstock-Tenant"] == "acme"
    assert (first["workflow"], first["priority"], first["input"]) == ("replay_1", 3, {"seconds": 1, "input_tokens": 7})
    assert second["input"] == {"seconds": 2}
    assert (len(outcome.courses), list(outcome.errors)) == (2, [])


async def test_a_post_that_is_not_answered_is_repeated_under_the_same_key() -> None:
    api = Api(away=1)
    await play(api, due(0, 1))
    first, second = (headers["Idempotency-Key"] for _, headers in api.posts)
    assert first == second


async def test_a_run_that_fails_is_an_error_and_no_course() -> None:
    outcome = await play(Api("RunFailed"), due(0, 1))
    assert (list(outcome.courses), list(outcome.errors), outcome.usage) == ([], ["a run: no luck"], Counter())


async def test_runs_that_do_not_end_are_given_up_and_named() -> None:
    with pytest.raises(Refusal, match="Of 2 runs 2 had not been seen to end after 400 ms") as caught:
        await play(Api(ends=None), due(0, 1), due(60, 1), seconds_max=0.4)
    assert str(caught.value).endswith("the first are a run: look into the logs.")
