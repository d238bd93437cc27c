"""Single-threaded basics over moto: another emulator's reading of the same requests, without transactions' races."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.aws.fakes import SETTINGS

from penstock_backbone.aws.engine import AwsEngine, assemble
from penstock_backbone.aws.provision import create_resources
from penstock_backbone.inventory import INVENTORY
from penstock_backbone.system import SystemChance, SystemClock, SystemIds
from penstock_backbone.vocabulary import (
    BusEntry,
    Cancelled,
    Committed,
    Delete,
    Equals,
    Exists,
    Key,
    Missing,
    Outgoing,
    Put,
    Query,
    Refused,
    Update,
    Written,
)

pytestmark = pytest.mark.anyio

RUN = Key("runs", "run_1", "RUN")


@pytest.fixture(scope="module")
async def moto_engine(anyio_backend: str) -> AsyncIterator[AwsEngine]:
    from moto import mock_aws  # noqa: PLC0415  # takes a second, and one process of the suite needs it

    with mock_aws():
        engine = assemble(
            SETTINGS,
            INVENTORY,
            clock=SystemClock(),
            ids=SystemIds(),
            chance=SystemChance(),
            in_statements=False,  # moto applies a PartiQL update whose condition is false
        )
        await create_resources(engine.calls, SETTINGS, INVENTORY, SystemClock())
        yield engine
        await engine.close()


async def test_an_item_is_written_once_changed_by_path_and_removed(moto_engine: AwsEngine) -> None:
    tables = moto_engine.tables
    item = {"seq": 1, "facts": {}, "b": b"x", "none": None, "l": [True, "a"], "state": "queued"}
    assert await tables.write([Put(RUN, item, when=Missing("pk"))]) == [Written()]
    stored = {"pk": "run_1", "sk": "RUN", **item}
    assert await tables.write([Put(RUN, {"seq": 9}, when=Missing("pk"))]) == [Refused(stored)]
    update = Update(RUN, {"facts/2": {"t": "x"}, "seq": 2}, when=Equals("seq", 1), remove=("none",), returning=True)
    (written,) = await tables.write([update])
    assert isinstance(written, Written)
    assert written.item is not None
    assert written.item["facts"] == {"2": {"t": "x"}}
    assert "none" not in written.item
    assert await tables.get([RUN]) == [written.item]
    assert await tables.write([Delete(RUN, when=Exists("pk"))]) == [Written()]
    assert await tables.get([RUN, Key("runs", "run_2", "RUN")]) == [None, None]


async def test_pages_follow_each_other_on_an_index(moto_engine: AwsEngine) -> None:
    for n in range(5):
        key = Key("projects", f"prj_{n}", "PROJECT")
        await moto_engine.tables.write([Put(key, {"tenant": "acme", "created": f"2026-0{n}"})])
    query = Query("projects", "acme", index="by_tenant", descending=True, limit=2)
    found = []
    for _ in range(3):
        page = await moto_engine.tables.query(query)
        found += [item["pk"] for item in page.items]
        query = Query("projects", "acme", index="by_tenant", descending=True, limit=2, cursor=page.cursor)
    assert found == ["prj_4", "prj_3", "prj_2", "prj_1", "prj_0"]
    assert page.cursor is None


async def test_a_transaction_says_which_part_was_refused(moto_engine: AwsEngine) -> None:
    keys = [Key("tokens", "TK#moto", name) for name in "ab"]
    parts = [Put(key, {"n": 1}, when=Missing("pk")) for key in keys]
    assert await moto_engine.tables.transact(parts[:1]) == Committed()
    refused = Refused({"pk": "TK#moto", "sk": "a", "n": 1})
    assert await moto_engine.tables.transact(parts) == Cancelled((refused, None))


async def test_an_event_reaches_its_queue_and_a_message_comes_back_until_it_is_deleted(moto_engine: AwsEngine) -> None:
    entry = BusEntry("penstock", "ProjectCreated", '{"metadata":{},"data":{}}')
    assert await moto_engine.bus.publish([entry]) == [None]
    (message,) = await moto_engine.queues.receive("admission", 10, 1)
    assert '"ProjectCreated"' in message.body
    await moto_engine.queues.extend("admission", [message.receipt], 0)
    (again,) = await moto_engine.queues.receive("admission", 10, 1)
    assert (again.id, again.receives) == (message.id, 2)
    await moto_engine.queues.delete("admission", [again.receipt])
    assert await moto_engine.queues.send("dispatch", [Outgoing("x", "acme"), Outgoing("", "acme")]) == [
        None,
        "the message is empty",
    ]


async def test_a_file_is_stored_once(moto_engine: AwsEngine) -> None:
    ref = await moto_engine.blobs.put("run_1/1/package.zip", b"data")
    assert await moto_engine.blobs.put("run_1/1/package.zip", b"data") == ref
    assert await moto_engine.blobs.get(ref) == b"data"
