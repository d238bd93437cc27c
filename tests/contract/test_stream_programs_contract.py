"""Whatever a program writes and however its stream is read: of each item every change is told, in order, and only these."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from tests.contract.programs import PK, reproducible
from tests.contract.rigs import Rig
from tests.contract.spared import SPARED
from tests.contract.stream_programs import (
    Follower,
    Read,
    Rewind,
    Settle,
    StreamStep,
    compare_streams,
    stream_programs,
)

from penstock_backbone.engines import Engine
from penstock_backbone.memory import MemoryEngine
from penstock_backbone.system import SystemClock, SystemIds
from penstock_backbone.vocabulary import Check, Delete, Equals, Exists, Key, Missing, Put, StreamRecord, Update

pytestmark = [pytest.mark.anyio]

A, B = Key("things", PK, "a"), Key("others", PK, "b")
PROGRAM: Sequence[StreamStep] = [
    ("write", [Put(A, {"m": {}}), Put(B, {"m": {"x": 1}})]),
    Read(1),
    ("write", [Update(A, {"m/x": True})]),
    ("write", [Update(A, {"m/x": 1})]),
    ("write_after", [Put(B, {"m": {}}, Exists("pk")), Delete(A)]),
    Settle(0),
    Read(4),
    Rewind(),
    ("transact", [Put(A, {"m": {}}, Missing("pk")), Delete(B, Equals("m", {}))]),
    ("transact", [Put(A, {"m": {}, "a": 1}), Check(B, Exists("pk"))]),
    Read(2),
    Settle(1),
    ("write", [Delete(A, Exists("a"))]),
]
"""A bit of everything that can be on a stream, and what may not."""


async def test_what_a_program_writes_again_unchanged_is_not_told(engine: Engine) -> None:
    put = ("write", [Put(A, {"m": {"x": 1}})])
    await compare_streams(engine, [put, Read(4), put, ("write", [Update(A, {"m/x": 1})]), Read(1)])


async def test_a_program_of_everything_is_told_as_the_memory_engine_tells_it(engine: Engine) -> None:
    await compare_streams(engine, PROGRAM)


@pytest.mark.parametrize("rig", ["embedded"], indirect=True)
@settings(reproducible, max_examples=40)
@given(program=stream_programs)
async def test_the_embedded_engine_tells_what_the_memory_engine_tells(rig: Rig, program: list[StreamStep]) -> None:
    await compare_streams(rig.engine, program)


@pytest.mark.parametrize("rig", ["ministack"], indirect=True)
@settings(reproducible, max_examples=10)
@given(program=stream_programs)
async def test_the_aws_engine_tells_what_the_memory_engine_tells(rig: Rig, program: list[StreamStep]) -> None:
    await compare_streams(rig.engine, program, another=rig.another, spared=SPARED["ministack"])


@pytest.mark.parametrize("rig", ["moto"], indirect=True)
@settings(reproducible, max_examples=5)
@given(program=stream_programs)
async def test_moto_tells_what_the_memory_engine_tells(rig: Rig, program: list[StreamStep]) -> None:
    """Read by a new process each time: tests that cancel transactions leave iterators behind that give nothing more."""
    engine = await rig.another()
    await compare_streams(engine, program, spared=SPARED["moto"])
    await engine.close()


# --- does the comparison itself see what is wrong? ---------------------------------------------------


class Wrong:
    """Streams that tell one record in a wrong way."""

    def __init__(self, engine: MemoryEngine, wrong: str) -> None:
        self._streams = engine.streams
        self._wrong = wrong
        self.settle, self.rewind = engine.streams.settle, engine.streams.rewind

    async def read(self, consumer: str, limit: int, wait_seconds: float) -> list[StreamRecord]:
        records = await self._streams.read(consumer, limit, min(wait_seconds, 0.01))
        if len(records) < 2 or records[0].key != records[1].key:
            return records
        first, second, *rest = records
        match self._wrong:
            case "order":
                return [second, first, *rest]
            case "lost":
                return [second, *rest]
            case "twice":
                return [first, first, second, *rest]
            case "old image":
                return [first, StreamRecord(second.sequence, second.key, first.item), *rest]
            case _:
                return records


@pytest.mark.parametrize("wrong", ["order", "lost", "twice", "old image"])
async def test_a_wrong_stream_is_noticed(wrong: str) -> None:
    engine = MemoryEngine(SystemClock(), SystemIds())
    key = Key("runs", PK, "a")
    story = {key: ["{m: 1, pk: 'program', sk: 'a'}", "{m: 2, pk: 'program', sk: 'a'}"]}

    async def told(streams: object) -> None:
        for number in (1, 2):
            await engine.tables.write([Put(key, {"m": number})])
        await Follower(streams, "relay", story, PK).to_the_end()  # type: ignore[arg-type]  # an engine that is wrong on purpose

    with pytest.raises(AssertionError):
        await told(Wrong(engine, wrong))


async def test_a_right_stream_is_not_complained_of() -> None:
    engine = MemoryEngine(SystemClock(), SystemIds())
    key = Key("runs", PK, "a")
    for number in (1, 2):
        await engine.tables.write([Put(key, {"m": number})])
    story = {key: ["{m: 1, pk: 'program', sk: 'a'}", "{m: 2, pk: 'program', sk: 'a'}"]}
    await Follower(engine.streams, "relay", story, PK).to_the_end()
