"""Consumers follow shards that split and close, keep each item's order, and resume where they settled."""

from __future__ import annotations

import logging

import pytest
from tests.aws.fakes import NAMES, CountingIds, HastyClock
from tests.aws.shards_service import ShardsService

from penstock_backbone.aws.shards import UNSETTLED_RECORDS_MAX, Backlog, Shard
from penstock_backbone.aws.streams import CLOUD_PACE, AwsStreams
from penstock_backbone.aws.wakeups import Wakeups
from penstock_backbone.errors import Fatal, Invalid, Retryable
from penstock_backbone.inventory import DISPATCHER, INVENTORY, RELAY, SESSIONS
from penstock_backbone.memory import MemoryEngine
from penstock_backbone.vocabulary import Key, Query, StreamRecord

pytestmark = pytest.mark.anyio


class World:
    """A stream service, the tables that keep the positions, and processes that come and go."""

    def __init__(self) -> None:
        self.service = ShardsService("tokens", "projects", "runs")
        self.clock = HastyClock()
        self.tables = MemoryEngine(self.clock, CountingIds()).tables
        self.service.open("tokens", "a")

    def process(self) -> AwsStreams:
        return AwsStreams(
            self.service,
            self.tables,
            NAMES,
            INVENTORY,
            clock=self.clock,
            pace=CLOUD_PACE,
            wakeups=Wakeups(INVENTORY),
        )

    async def positions(self, consumer: str) -> dict[str, tuple[str, bool]]:
        page = await self.tables.query(Query(SESSIONS, f"CURSOR#{consumer}"))
        return {item["sk"]: (item["number"].lstrip("0"), item["ended"]) for item in page.items}


@pytest.fixture
def world() -> World:
    return World()


def seen(records: list[StreamRecord]) -> list[tuple[str, int]]:
    return [(record.key.pk, record.item["n"]) for record in records if record.item]


async def test_a_child_shard_is_read_only_after_its_parent_has_ended(world: World) -> None:
    for n in range(4):
        world.service.add("tokens", "a", "x", n)
    world.service.streams["dev-tokens"]["a"].closed = True
    world.service.open("tokens", "b", parent="a")
    world.service.add("tokens", "b", "x", 4)
    streams = world.process()
    found: list[StreamRecord] = []
    for _ in range(6):
        found += await streams.read(DISPATCHER, 3, 0)
    assert seen(found) == [("x", n) for n in range(5)]


async def test_a_shard_whose_parent_is_gone_is_read_from_its_beginning(world: World) -> None:
    world.service.open("tokens", "b", parent="gone long ago")
    world.service.add("tokens", "b", "x", 1)
    assert seen(await world.process().read(DISPATCHER, 10, 0)) == [("x", 1)]


async def test_settling_one_record_settles_all_that_were_handed_out_before_it_in_any_shard(world: World) -> None:
    for table in ("projects", "runs"):
        world.service.open(table, "shardId-1")
    for n in range(3):
        world.service.add("projects", "shardId-1", "p", n)
        world.service.add("runs", "shardId-1", "r", n)
    streams = world.process()
    records = await streams.read(RELAY, 10, 0)
    assert len(records) == 6
    assert len({record.sequence for record in records}) == 6
    await streams.settle(RELAY, records[4].sequence)
    assert seen(await world.process().read(RELAY, 10, 0)) == seen(records[5:])


async def test_a_rewound_consumer_gets_the_unsettled_records_again_without_asking_aws(world: World) -> None:
    for n in range(4):
        world.service.add("tokens", "a", "x", n)
    streams = world.process()
    records = await streams.read(DISPATCHER, 10, 0)
    await streams.settle(DISPATCHER, records[1].sequence)
    asked = len(world.service.asked)
    await streams.rewind(DISPATCHER)
    assert await streams.read(DISPATCHER, 10, 0) == records[2:]
    assert len(world.service.asked) == asked


async def test_an_ended_shard_is_remembered_until_aws_forgets_it(world: World) -> None:
    world.service.add("tokens", "a", "x", 1)
    streams = world.process()
    (record,) = await streams.read(DISPATCHER, 10, 0)
    await streams.settle(DISPATCHER, record.sequence)
    assert await world.positions(DISPATCHER) == {"tokens/a": ("1", False)}
    world.service.streams["dev-tokens"]["a"].closed = True
    world.service.open("tokens", "b", parent="a")
    await streams.read(DISPATCHER, 10, 0)
    await streams.read(DISPATCHER, 10, 0)
    assert (await world.positions(DISPATCHER))["tokens/a"] == ("1", True)
    del world.service.streams["dev-tokens"]["a"]
    assert await world.process().read(DISPATCHER, 10, 0) == []
    assert "tokens/a" not in await world.positions(DISPATCHER)


async def test_records_that_were_trimmed_are_passed_over_and_the_loss_is_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    for n in range(4):
        world.service.add("tokens", "a", "x", n)
    streams = world.process()
    records = await streams.read(DISPATCHER, 1, 0)
    await streams.settle(DISPATCHER, records[0].sequence)
    world.service.streams["dev-tokens"]["a"].trimmed = 2
    with caplog.at_level(logging.WARNING):
        assert seen(await world.process().read(DISPATCHER, 10, 0)) == [("x", 2), ("x", 3)]
    assert "tokens/a" in caplog.text


async def test_an_expired_iterator_is_replaced_and_nothing_is_lost(world: World) -> None:
    world.service.add("tokens", "a", "x", 0)
    streams = world.process()
    await streams.read(DISPATCHER, 10, 0)
    world.service.expired.add("arn/dev-tokens|a|1")
    world.service.add("tokens", "a", "x", 1)
    assert seen(await streams.read(DISPATCHER, 10, 0)) == [("x", 1)]


async def test_a_position_never_moves_back_when_two_processes_settle(world: World) -> None:
    for n in range(4):
        world.service.add("tokens", "a", "x", n)
    fast, slow = world.process(), world.process()
    ahead = await fast.read(DISPATCHER, 10, 0)
    behind = await slow.read(DISPATCHER, 10, 0)
    await fast.settle(DISPATCHER, ahead[3].sequence)
    await slow.settle(DISPATCHER, behind[1].sequence)
    assert await world.positions(DISPATCHER) == {"tokens/a": ("4", False)}


async def test_an_idle_consumer_polls_ever_more_slowly_and_a_busy_one_at_once(world: World) -> None:
    streams = world.process()
    await streams.read(DISPATCHER, 10, 10.0)
    idle = world.service.asked.count("get_records")
    assert 10 <= idle <= 14, "once a second after the first"
    world.service.add("tokens", "a", "x", 0)
    before = world.clock.monotonic()
    await streams.read(DISPATCHER, 10, 10.0)
    assert world.clock.monotonic() == before


async def test_a_shard_that_fails_delays_only_itself(world: World) -> None:
    world.service.open("projects", "p")
    world.service.open("runs", "r")
    world.service.add("projects", "p", "x", 1)
    streams = world.process()
    assert seen(await streams.read(RELAY, 10, 0)) == [("x", 1)]
    world.service.add("projects", "p", "x", 2)
    world.service.broken.add("arn/dev-runs|r|0")
    assert seen(await streams.read(RELAY, 10, 0)) == [("x", 2)]
    with pytest.raises(Retryable, match="lost"):
        await streams.read(RELAY, 10, 0)


async def test_a_consumer_that_never_settles_is_stopped_before_it_fills_the_memory() -> None:
    backlog = Backlog()
    shard = Shard("t/a", "arn", "a", "tokens", None)
    backlog.meet(shard)
    for n in range(UNSETTLED_RECORDS_MAX):
        backlog.add(shard, str(n), Key("tokens", "x", "s"), None)
    assert len(backlog.take(UNSETTLED_RECORDS_MAX)) == UNSETTLED_RECORDS_MAX
    with pytest.raises(Invalid, match="settle"):
        backlog.take(1)


async def test_a_consumer_that_the_inventory_does_not_name_is_refused(world: World) -> None:
    with pytest.raises(Fatal, match="nobody"):
        await world.process().read("nobody", 1, 0)
