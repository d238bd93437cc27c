"""A request repeated after a lost answer is refused, and the writer finds its own success in the refusal."""

from __future__ import annotations

import pytest
from tests.contract.faults import LostAnswers
from tests.contract.writing import key, put, read

from penstock_backbone.engines import Engine
from penstock_backbone.errors import Retryable
from penstock_backbone.vocabulary import (
    Cancelled,
    Delete,
    Equals,
    Exists,
    Missing,
    Outcome,
    Put,
    Refused,
    TransactionPart,
    Update,
    Write,
)

pytestmark = pytest.mark.anyio


async def repeated(tables: LostAnswers, write: Write) -> Outcome:
    with pytest.raises(Retryable):
        await tables.write([write])
    [outcome] = await tables.write([write])
    return outcome


async def test_a_repeated_creation_finds_the_item_it_made(engine: Engine, pk: str) -> None:
    creation = Put(key(pk), {"by": "me", "n": 1}, when=Missing("pk"))
    assert await repeated(LostAnswers(engine.tables), creation) == Refused({"pk": pk, "sk": "one", "by": "me", "n": 1})


async def test_a_repeated_compare_and_swap_finds_its_own_mark(engine: Engine, pk: str) -> None:
    await put(engine.tables, key(pk), {"seq": 4, "by": "you"})
    swap = Update(key(pk), {"seq": 5, "by": "me"}, when=Equals("seq", 4), returning=True)
    outcome = await repeated(LostAnswers(engine.tables), swap)
    assert outcome == Refused({"pk": pk, "sk": "one", "seq": 5, "by": "me"})
    assert await read(engine.tables, key(pk)) == {"pk": pk, "sk": "one", "seq": 5, "by": "me"}


async def test_a_repeated_compare_and_swap_sees_who_came_between(engine: Engine, pk: str) -> None:
    await put(engine.tables, key(pk), {"seq": 4})
    tables = LostAnswers(engine.tables)
    swap = Update(key(pk), {"seq": 5, "by": "me"}, when=Equals("seq", 4))
    with pytest.raises(Retryable):
        await tables.write([swap])
    await engine.tables.write([Update(key(pk), {"seq": 6, "by": "you"}, when=Equals("seq", 5))])
    assert await tables.write([swap]) == [Refused({"pk": pk, "sk": "one", "seq": 6, "by": "you"})]


async def test_a_repeated_deletion_finds_nothing(engine: Engine, pk: str) -> None:
    await put(engine.tables, key(pk), {})
    assert await repeated(LostAnswers(engine.tables), Delete(key(pk), when=Exists("pk"))) == Refused(None)


async def test_a_repeated_batch_finds_for_each_write_whether_it_had_succeeded(engine: Engine, pk: str) -> None:
    theirs = await put(engine.tables, key(pk, "b"), {"by": "you"})
    writes = [Put(key(pk, sk), {"by": "me"}, when=Missing("pk")) for sk in "abc"]
    tables = LostAnswers(engine.tables)
    with pytest.raises(Retryable):
        await tables.write(writes)
    mine = [{"pk": pk, "sk": sk, "by": "me"} for sk in "ac"]
    assert await tables.write(writes) == [Refused(mine[0]), Refused(theirs), Refused(mine[1])]


async def test_a_repeated_guard_is_refused_with_its_own_result_and_its_followers_are_there(
    engine: Engine, pk: str
) -> None:
    await put(engine.tables, key(pk, "head"), {"seq": 4})
    guard = Update(key(pk, "head"), {"seq": 5, "by": "me"}, when=Equals("seq", 4))
    followers = [Put(key(pk, "follower"), {"n": 1}, when=Missing("pk"))]
    tables = LostAnswers(engine.tables)
    with pytest.raises(Retryable):
        await tables.write_after(guard, followers)
    outcome, rest = await tables.write_after(guard, followers)
    assert outcome == Refused({"pk": pk, "sk": "head", "seq": 5, "by": "me"})
    assert rest == []
    assert await tables.write(followers) == [Refused({"pk": pk, "sk": "follower", "n": 1})]


async def test_a_repeated_transaction_is_cancelled_with_its_own_result(engine: Engine, pk: str) -> None:
    await put(engine.tables, key(pk, "b"), {"n": 1})
    parts: list[TransactionPart] = [
        Put(key(pk, "a"), {"by": "me"}, when=Missing("pk")),
        Update(key(pk, "b"), {"n": 2}, when=Equals("n", 1)),
        Put(key(pk, "c"), {"by": "me"}),
    ]
    tables = LostAnswers(engine.tables)
    with pytest.raises(Retryable):
        await tables.transact(parts)
    assert await tables.transact(parts) == Cancelled(
        (Refused({"pk": pk, "sk": "a", "by": "me"}), Refused({"pk": pk, "sk": "b", "n": 2}), None)
    )
