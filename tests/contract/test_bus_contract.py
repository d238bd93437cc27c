"""The bus: rules route by pattern, each entry has its own answer, and the event looks the same at every queue."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from tests.contract.contract_inventory import SOURCE

from penstock_backbone.engines import Engine
from penstock_backbone.ports import Queues
from penstock_backbone.vocabulary import BATCH_ITEMS_MAX, BusEntry

pytestmark = pytest.mark.anyio

SOON_SECONDS = 2.0
NOTHING_SECONDS = 0.05
RECEIVES_AT_MOST = 50


def entry(detail_type: str, detail: Any, source: str = SOURCE) -> BusEntry:
    return BusEntry(source, detail_type, json.dumps(detail, ensure_ascii=False))


async def take(queues: Queues, queue: str, count: int) -> list[dict[str, Any]]:
    """So many events, deleted, and then no more."""
    found: list[dict[str, Any]] = []
    for _ in range(RECEIVES_AT_MOST):
        messages = await queues.receive(queue, 10, SOON_SECONDS if len(found) < count else NOTHING_SECONDS)
        if not messages:
            break
        found += [json.loads(message.body) for message in messages]
        await queues.delete(queue, [message.receipt for message in messages])
    assert len(found) == count, found
    return found


async def test_a_rule_sends_what_matches_to_its_queue_and_nothing_else(engine: Engine) -> None:
    answers = await engine.bus.publish(
        [
            entry("Exact", {"n": 1}),
            entry("Other", {"n": 2}),
            entry("exact", {"n": 3}),
            entry("Exact", {"n": 4}, source="somebody"),
            entry("Twice", {"n": 5}),
        ]
    )
    assert answers == [None] * 5
    events = await take(engine.queues, "bus-exact", 2)
    assert sorted(event["detail"]["n"] for event in events) == [1, 5]


async def test_a_rule_may_look_inside_the_detail(engine: Engine) -> None:
    matching = [{"metadata": {"tenant": "acme"}, "size": 7}, {"metadata": {"tenant": "big-one", "x": 1}, "size": 7}]
    others: list[dict[str, Any]] = [
        {"metadata": {"tenant": "acme"}, "size": 8},
        {"metadata": {"tenant": "acme"}, "size": "7"},
        {"metadata": {"tenant": "acme-2"}, "size": 7},
        {"metadata": {"tenant": "little"}, "size": 7},
        {"metadata": {}, "size": 7},
        {"metadata": {"tenant": "acme"}},
        {"tenant": "acme", "size": 7},
        {"metadata": None, "size": 7},
        {},
    ]
    await engine.bus.publish([entry("Nested", detail) for detail in matching + others])
    events = await take(engine.queues, "bus-nested", 2)
    assert sorted(event["detail"]["metadata"]["tenant"] for event in events) == ["acme", "big-one"]


async def test_an_event_at_a_queue_has_eventbridges_shape(engine: Engine) -> None:
    detail = {"metadata": {"tenant": "多语言 \U0001f600"}, "data": {"n": 2**53, "list": [1, None, True, {"a": "\n"}]}}
    assert await engine.bus.publish([entry("Shape", detail)]) == [None]
    [event] = await take(engine.queues, "bus-shape", 1)
    assert set(event) == {
        "version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail",
    }  # fmt: skip
    assert (event["version"], event["source"], event["detail-type"]) == ("0", SOURCE, "Shape")
    assert event["resources"] == []
    assert event["detail"] == detail
    assert event["id"]
    assert datetime.fromisoformat(event["time"]).tzinfo is not None


async def test_every_event_has_an_id_of_its_own(engine: Engine) -> None:
    await engine.bus.publish([entry("Shape", {"n": 1})] * 3)
    events = await take(engine.queues, "bus-shape", 3)
    assert len({event["id"] for event in events}) == 3


async def test_a_full_batch_is_published(engine: Engine) -> None:
    source = f"{SOURCE}-all"
    entries = [entry("Any", {"n": n}, source) for n in range(BATCH_ITEMS_MAX)]
    assert await engine.bus.publish(entries) == [None] * BATCH_ITEMS_MAX
    events = await take(engine.queues, "bus-all", BATCH_ITEMS_MAX)
    assert sorted(event["detail"]["n"] for event in events) == list(range(BATCH_ITEMS_MAX))


@pytest.mark.parametrize(
    "wrong",
    [
        BusEntry(SOURCE, "Shape", "{"),
        BusEntry(SOURCE, "Shape", ""),
        BusEntry(SOURCE, "Shape", "[1]"),
        BusEntry(SOURCE, "Shape", '"text"'),
        BusEntry(SOURCE, "Shape", "null"),
        BusEntry("", "Shape", "{}"),
        BusEntry(SOURCE, "", "{}"),
        BusEntry(SOURCE, "Shape", '{"x": "' + "x" * 1_100_000 + '"}'),
    ],
    ids=["broken", "empty", "list", "text", "null", "no source", "no type", "too large"],
)
async def test_one_wrong_entry_is_refused_by_itself(engine: Engine, wrong: BusEntry) -> None:
    answers = await engine.bus.publish([entry("Shape", {"n": 1}), wrong, entry("Shape", {"n": 3})])
    assert answers[0] is None
    assert answers[1]
    assert answers[2] is None
    events = await take(engine.queues, "bus-shape", 2)
    assert sorted(event["detail"]["n"] for event in events) == [1, 3]


async def test_nothing_to_publish_is_published(engine: Engine) -> None:
    assert await engine.bus.publish([]) == []
