"""`penstock dead-letters` shows what was put aside, and has it tried again without losing or repeating any of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.orchestrator.world import World

from penstock_backbone.engines import EngineSettings
from penstock_backbone.errors import Retryable
from penstock_backbone.inventory import ADMISSION_QUEUE, RELAY, RELAY_FAILURES_QUEUE, RUNS
from penstock_backbone.records.projects import project_key
from penstock_backbone.vocabulary import Outgoing, Put
from penstock_cli import dead_letters
from penstock_cli.refusal import Refusal

pytestmark = pytest.mark.anyio

DLQ = f"{ADMISSION_QUEUE}-dlq"
HINT = msgspec.json.encode(
    {"detail-type": "ProjectCreated", "detail": {"metadata": {"project_id": "prj_1", "run_id": "run_1"}}}
).decode()
GRANT = '{"run":"run_1","fence":3,"token":"t","tenant":"default","project":"prj_1"}'
HIDDEN_SECONDS = 61


def given_up(consumer: str, pk: str, table: str = "projects", sk: str = "PROJECT") -> str:
    pointer = {"consumer": consumer, "table": table, "key": {"pk": pk, "sk": sk}, "sequence": "7", "reason": "no name"}
    return msgspec.json.encode(pointer).decode()


async def put_aside(world: World, queue: str, *bodies: str, group: str = "") -> None:
    for start in range(0, len(bodies), 100):
        page = [Outgoing(body, group) for body in bodies[start : start + 100]]
        assert set(await world.engine.queues.send(queue, page)) == {None}


async def shown(world: World) -> list[str]:
    return [line async for line in dead_letters.shown(world.engine.queues)]


async def redriven(world: World) -> list[str]:
    return [line async for line in dead_letters.redriven(world.engine, world.clock)]


async def waiting(world: World, queue: str) -> list[tuple[str, str]]:
    return [(letter.body, letter.group) for letter in await world.engine.queues.receive(queue, 100, 0)]


async def test_letters_are_counted_told_in_a_line_and_stay_where_they_are_in_their_order() -> None:
    world = World()
    await put_aside(world, DLQ, HINT, "no json\nsecond line", '{"odd": 1}', "\x1b[31mred", "x" * 500)
    await put_aside(world, "dispatch-dlq", GRANT)
    await put_aside(world, RELAY_FAILURES_QUEUE, given_up(RELAY, "prj_1"))
    said = await shown(world)
    assert said == [
        "admission: 5 dead letters",
        "  ProjectCreated of prj_1, run_1",
        "  no json",
        '  {"odd": 1}',
        "  [31mred",
        f"  {'x' * 160}…",
        "dispatch: 1 dead letter",
        "  run_1, grant 3",
        "relay-failures: 1 dead letter",
        "  relay: no name",
    ]
    assert await shown(world) == said
    assert [body[:7] for body, _ in await waiting(world, DLQ)] == [
        HINT[:7],
        "no json",
        '{"odd":',
        "\x1b[31mre",
        "xxxxxxx",
    ]


async def test_of_many_the_first_are_shown_and_no_more_are_looked_at_than_one_call_may(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    await put_aside(world, DLQ, *(f"letter {number}" for number in range(250)))
    said = await shown(world)
    assert said[:2] == ["admission: 250 dead letters", "  letter 0"]
    assert said[11:13] == ["  … and 240 more", "dispatch: 0 dead letters"]
    monkeypatch.setattr(dead_letters, "LETTERS_MAX", 120)
    assert (await shown(world))[0] == "admission: 120 dead letters or more"
    assert (await redriven(world))[0] == "admission: 120 letters sent again"
    assert (await shown(world))[0] == "admission: 120 dead letters or more"
    assert (await redriven(world))[0] == "admission: 120 letters sent again"
    assert (await shown(world))[0] == "admission: 10 dead letters"


async def test_letters_go_back_to_their_queue_once_and_in_their_group() -> None:
    world = World()
    await put_aside(world, DLQ, HINT, group="acme")
    assert await redriven(world) == [
        "admission: 1 letter sent again", "dispatch: 0 letters sent again", "relay-failures: 0 letters sent again",
    ]  # fmt: skip
    assert await waiting(world, ADMISSION_QUEUE) == [(HINT, "acme")]
    assert (await redriven(world))[0] == "admission: 0 letters sent again"
    world.clock.elapsed += HIDDEN_SECONDS
    assert await waiting(world, DLQ) == []


async def test_a_letter_that_was_not_deleted_in_time_is_sent_again_and_none_is_lost() -> None:
    world = World()
    await put_aside(world, DLQ, HINT)

    async def fails(queue: str, receipts: object) -> None:
        raise Retryable("the store went away")

    real, world.engine.queues.delete = world.engine.queues.delete, fails  # type: ignore[method-assign]  # a call that is lost
    with pytest.raises(Retryable):
        await redriven(world)
    world.engine.queues.delete = real  # type: ignore[method-assign]  # the store is back
    world.clock.elapsed += HIDDEN_SECONDS
    assert (await redriven(world))[0] == "admission: 1 letter sent again"
    assert await waiting(world, ADMISSION_QUEUE) == [(HINT, ""), (HINT, "")]


async def test_a_queue_that_takes_no_more_keeps_the_rest_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    await put_aside(world, DLQ, "first", "second")
    monkeypatch.setattr("penstock_backbone.local.messages.QUEUE_MESSAGES_MAX", 1)
    with pytest.raises(
        Refusal, match="admission: 1 letter sent again, and then no more, because the queue admission is full"
    ):
        await redriven(world)
    assert await waiting(world, ADMISSION_QUEUE) == [("first", "")]
    assert await waiting(world, DLQ) == [("second", "")]


async def test_what_the_relay_gave_up_is_told_by_its_stream_again_and_the_rest_is_dropped() -> None:
    world = World()
    key = project_key("prj_1")
    await world.engine.tables.write([Put(key, {"name": "x"}), Put(project_key("prj_2"), {"name": "x"})])
    await world.engine.streams.read(RELAY, 100, 0)
    await put_aside(
        world, RELAY_FAILURES_QUEUE, given_up(RELAY, "prj_1"), given_up(RELAY, "prj_1"), given_up("dispatcher", "prj_2"),
        given_up(RELAY, "run_gone", RUNS, "RUN"), "no pointer",
    )  # fmt: skip
    assert (await redriven(world))[-1] == "relay-failures: 5 letters sent again"
    assert [record.key for record in await world.engine.streams.read(RELAY, 100, 0)] == [key]
    (item,) = await world.engine.tables.get([key])
    assert item is not None
    assert item["name"] == "x"
    assert (await shown(world))[-1] == "relay-failures: 0 dead letters"


async def test_on_aws_the_commands_that_do_it_are_named(tmp_path: Path) -> None:
    settings = EngineSettings.from_environment({"PENSTOCK_ENGINE": "aws"})
    with pytest.raises(Refusal, match="aws sqs start-message-move-task"):
        await dead_letters.dead_letters(tmp_path, settings, redrive=True)


async def test_where_nothing_runs_nothing_is_looked_at(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"No penstock runs on .*: start `penstock up` there"):
        await dead_letters.dead_letters(tmp_path, EngineSettings.from_environment({}), redrive=False)
