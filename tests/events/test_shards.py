"""The ledger of the shards: what is written is read again, tenants never change places, and a token moves whole."""

from __future__ import annotations

import pytest
from tests.events.stories import AT, TOKEN, must, project
from tests.limits import set_limit

from penstock_backbone.ports import Tables
from penstock_backbone.records.limits import FLEET, SHARDS_MAX, limit_key, limit_stands
from penstock_backbone.records.shards import (
    Ledger,
    as_ledger,
    begin_head,
    fence_head,
    home_of,
    ledger_key,
    ledger_of,
    move_token,
    write_ledger,
)
from penstock_backbone.records.tokens import (
    GRANT,
    Operation,
    apply_operation,
    as_token,
    commit_head,
    create_head,
    enqueue_token,
    head_key,
    token_key,
)
from penstock_backbone.vocabulary import Cancelled, Committed, Put, Refused

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("tenant", "homes"),
    [
        ("acme", (0, 1, 1, 1, 1, 1)),
        ("bronze", (0, 0, 0, 3, 3, 3)),
        ("clover", (0, 0, 2, 2, 4, 4)),
        ("", (0, 1, 2, 2, 2, 5)),
    ],
)
def test_a_tenant_belongs_to_the_same_shard_for_ever(tenant: str, homes: tuple[int, ...]) -> None:
    """Two versions of the orchestrator that disagree would move its tokens to and fro."""
    assert tuple(home_of(tenant, shards) for shards in range(1, 7)) == homes


@pytest.mark.parametrize("shards", range(1, SHARDS_MAX))
def test_of_tenants_one_in_so_many_moves_to_a_new_shard_and_none_between_the_old_ones(shards: int) -> None:
    tenants = [f"tenant-{number}" for number in range(3_000)]
    moved = [tenant for tenant in tenants if home_of(tenant, shards) != home_of(tenant, shards + 1)]
    assert {home_of(tenant, shards + 1) for tenant in moved} == {shards}
    assert abs(len(moved) / len(tenants) - 1 / (shards + 1)) < 0.04


async def test_a_ledger_is_read_as_it_was_written(tables: Tables) -> None:
    assert as_ledger(None) == Ledger()
    ledger = Ledger(1, "cid", 1, 2, 3, {FLEET: {0: 3, 1: 2}, "workflow#w": {2: 1}})
    await must(tables, write_ledger(ledger))
    (item,) = await tables.get([ledger_key()])
    assert as_ledger(item) == ledger


async def test_a_decision_on_a_head_that_was_fenced_is_refused(tables: Tables) -> None:
    await must(tables, create_head(0))
    await must(tables, fence_head(0, seq=0, ledger=4, commit_id="map"))
    late = commit_head(0, seq=0, operations=[Operation(GRANT, TOKEN, 1)], commit_id="late")
    (outcome,) = await tables.write([late])
    assert isinstance(outcome, Refused)
    assert outcome.item is not None
    assert ledger_of(outcome.item) == 4
    await must(tables, commit_head(0, seq=1, operations=[], commit_id="next"))
    (head,) = await tables.get([head_key(0)])
    assert head is not None
    assert ledger_of(head) == 4, "a decision keeps it"


async def test_a_head_without_a_word_of_the_ledger_bears_any(tables: Tables) -> None:
    await must(tables, create_head(0))
    await must(tables, begin_head(1, ledger=2))
    heads = await tables.get([head_key(0), head_key(1)])
    assert [ledger_of(head) for head in heads if head is not None] == [0, 2]


async def test_a_token_moves_with_all_that_stands_in_it_and_only_once(tables: Tables) -> None:
    await must(
        tables, Put(token_key(0, TOKEN), {**enqueue_token(project(), token=TOKEN, shard=0, at=AT).item, "new": 1})
    )
    await must(tables, apply_operation(0, Operation(GRANT, TOKEN, 1)))
    (before,) = await tables.get([token_key(0, TOKEN)])
    assert before is not None
    move = move_token(as_token(before), source=0, target=2)
    assert await tables.transact(move) == Committed()
    assert await tables.get([token_key(0, TOKEN), token_key(2, TOKEN)]) == [None, {**before, "pk": "TK#2"}]
    assert isinstance(await tables.transact(move), Cancelled)


async def test_a_token_that_has_changed_since_it_was_read_does_not_move(tables: Tables) -> None:
    await must(tables, enqueue_token(project(), token=TOKEN, shard=0, at=AT))
    (before,) = await tables.get([token_key(0, TOKEN)])
    assert before is not None
    await must(tables, apply_operation(0, Operation(GRANT, TOKEN, 1)))
    assert isinstance(await tables.transact(move_token(as_token(before), source=0, target=2)), Cancelled)
    assert await tables.get([token_key(2, TOKEN)]) == [None]


async def test_a_limit_stands_until_its_number_or_its_pause_changes(tables: Tables) -> None:
    mark = Put(token_key(9, "mark"), {})
    absent = limit_stands(FLEET, None)
    assert await tables.transact([absent, mark]) == Committed()
    await must(tables, set_limit(FLEET, limit=5, at=AT))
    (item,) = await tables.get([limit_key(FLEET)])
    five = limit_stands(FLEET, item)
    assert isinstance(await tables.transact([absent, mark]), Cancelled)
    assert await tables.transact([five, mark]) == Committed()
    await must(tables, set_limit(FLEET, limit=5, at=AT + 1))
    assert await tables.transact([five, mark]) == Committed()
    await must(tables, Put(limit_key(FLEET), {"limit": 5, "paused": True, "at": AT}))
    assert isinstance(await tables.transact([five, mark]), Cancelled)
    await must(tables, set_limit(FLEET, limit=6, at=AT))
    assert isinstance(await tables.transact([five, mark]), Cancelled)
