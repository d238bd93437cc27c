"""What the Tables port makes of answers that no emulator gives: throttles, conflicts, half-done batches."""

from __future__ import annotations

from typing import Any

import pytest
from tests.aws.fakes import HastyClock, ScriptedCalls, tables_over

from penstock_backbone.aws.errors import ConditionFalse, InConflict, Throttled, TransactionCancelled
from penstock_backbone.aws.patience import ATTEMPTS_MAX
from penstock_backbone.errors import BadCursor, Fatal, Invalid, Retryable, TooLarge
from penstock_backbone.vocabulary import (
    Cancelled,
    Committed,
    Delete,
    Equals,
    Key,
    Missing,
    Put,
    Query,
    Refused,
    TransactionPart,
    Unsettled,
    Update,
    Write,
    Written,
)

pytestmark = pytest.mark.anyio

KEYS = [Key("runs", f"run_{n}", "RUN") for n in range(60)]
ITEM = {"pk": {"S": "run_0"}, "sk": {"S": "RUN"}, "n": {"N": "1"}}
PLAIN = {"pk": "run_0", "sk": "RUN", "n": 1}
CONFLICT = TransactionCancelled([{"Code": "TransactionConflict"}, {"Code": "None"}])
PARTS: list[TransactionPart] = [Put(KEYS[0], {"n": 1}, when=Missing("pk")), Update(KEYS[1], {"n": 2})]


async def test_keys_left_unread_are_asked_for_again() -> None:
    rest = {"dev-runs": {"Keys": [{"pk": {"S": "run_1"}, "sk": {"S": "RUN"}}]}}
    calls = ScriptedCalls(
        {"Responses": {"dev-runs": [ITEM]}, "UnprocessedKeys": rest},
        {"Responses": {}, "UnprocessedKeys": rest},
        {"Responses": {"dev-runs": [{**ITEM, "pk": {"S": "run_1"}}]}},
    )
    clock = HastyClock()
    assert await tables_over(calls, clock).get(KEYS[:3]) == [PLAIN, {**PLAIN, "pk": "run_1"}, None]
    assert calls.asked[2][1]["RequestItems"] == rest
    assert len(clock.slept) == 1, "it waits only after a round that brought nothing"


async def test_keys_that_are_never_read_end_in_a_retryable_error() -> None:
    rest = {"dev-runs": {"Keys": [{"pk": {"S": "run_1"}, "sk": {"S": "RUN"}}]}}
    with pytest.raises(Retryable, match="unread"):
        await tables_over(ScriptedCalls({"Responses": {}, "UnprocessedKeys": rest})).get(KEYS[:2])


async def test_a_throttled_write_waits_longer_each_time_and_is_then_unsettled() -> None:
    clock = HastyClock()
    calls = ScriptedCalls(Throttled("throttled"))
    assert await tables_over(calls, clock).write([Delete(KEYS[0])]) == [Unsettled("throttled")]
    assert len(calls.asked) == ATTEMPTS_MAX
    assert clock.slept == sorted(clock.slept)
    assert len(clock.slept) == ATTEMPTS_MAX - 1


async def test_a_write_that_met_a_transaction_is_tried_again() -> None:
    calls = ScriptedCalls(InConflict("busy"), {})
    assert await tables_over(calls).write([Delete(KEYS[0])]) == [Written()]


async def test_a_single_write_whose_answer_is_lost_raises_and_among_others_it_is_unsettled() -> None:
    with pytest.raises(Retryable, match="lost"):
        await tables_over(ScriptedCalls(Retryable("lost"))).write([Delete(KEYS[0])])
    outcomes = await tables_over(ScriptedCalls(Retryable("lost"))).write([Delete(KEYS[0]), Delete(KEYS[1])])
    assert outcomes == [Unsettled("lost"), Unsettled("lost")]


async def test_missing_rights_are_raised_from_a_batch_too() -> None:
    with pytest.raises(Fatal, match="denied"):
        await tables_over(ScriptedCalls(Fatal("denied"))).write([Delete(KEYS[0]), Delete(KEYS[1])])


async def test_many_plain_updates_travel_in_batches_of_twenty_five() -> None:
    calls = ScriptedCalls(lambda arguments: {"Responses": [{}] * len(arguments["Statements"])})
    updates = [Update(key, {"n": 2}, when=Equals("n", 1)) for key in KEYS]
    assert await tables_over(calls).write(updates) == [Written()] * 60
    assert sorted(len(arguments["Statements"]) for _, arguments in calls.asked) == [10, 25, 25]


async def test_a_refusal_in_a_batch_carries_what_stood_there() -> None:
    refusal = {"Error": {"Code": "ConditionalCheckFailed", "Item": ITEM}}
    calls = ScriptedCalls({"Responses": [refusal, {}]})
    updates = [Update(key, {"n": 2}, when=Equals("n", 2)) for key in KEYS[:2]]
    assert await tables_over(calls).write(updates) == [Refused(PLAIN), Written()]


@pytest.mark.parametrize(
    "code", ["ConditionalCheckFailed", "ThrottlingError", "TransactionConflict", "InternalServerError"]
)
async def test_what_a_batch_did_not_settle_clearly_is_asked_again_alone(code: str) -> None:
    def answer(arguments: dict[str, Any]) -> dict[str, Any]:
        if "Statements" in arguments:
            return {"Responses": [{"Error": {"Code": code}}, {}]}
        raise ConditionFalse(None)

    calls = ScriptedCalls(answer)
    updates = [Update(key, {"n": 2}) for key in KEYS[:2]]
    assert await tables_over(calls).write(updates) == [Refused(None), Written()]
    assert calls.operations == ["batch_execute_statement", "update_item"]


async def test_a_lost_batch_is_unsettled_and_not_repeated_blindly() -> None:
    calls = ScriptedCalls(Retryable("lost"))
    updates = [Update(key, {"n": 2}) for key in KEYS[:2]]
    assert await tables_over(calls).write(updates) == [Unsettled("lost")] * 2
    assert calls.operations == ["batch_execute_statement"]


async def test_followers_of_a_refused_guard_are_never_sent() -> None:
    calls = ScriptedCalls(ConditionFalse(ITEM))
    outcome = await tables_over(calls).write_after(Update(KEYS[0], {"n": 2}, when=Equals("n", 2)), [Delete(KEYS[1])])
    assert outcome == (Refused(PLAIN), [])
    assert calls.operations == ["update_item"]


async def test_among_followers_removals_are_sent_first_and_outcomes_keep_their_order() -> None:
    def answer(arguments: dict[str, Any]) -> dict[str, Any]:
        return {"Responses": [{}] * len(arguments["Statements"])} if "Statements" in arguments else {}

    calls = ScriptedCalls(answer)
    followers: list[Write] = [Update(KEYS[1], {"n": 1}), Delete(KEYS[2]), Update(KEYS[3], {"n": 3}), Delete(KEYS[4])]
    guard, outcomes = await tables_over(calls).write_after(Update(KEYS[0], {"n": 0}), followers)
    assert (guard, outcomes) == (Written(), [Written()] * 4)
    assert calls.operations[:3] == ["update_item", "delete_item", "delete_item"]
    assert "delete_item" not in calls.operations[3:]


async def test_a_transaction_in_conflict_is_tried_again_under_the_same_token() -> None:
    calls = ScriptedCalls(CONFLICT, InConflict("busy"), Throttled("slow"), {})
    assert await tables_over(calls).transact(PARTS) == Committed()
    assert {arguments["ClientRequestToken"] for _, arguments in calls.asked} == {"tx_1"}
    assert len(calls.asked) == 4


async def test_each_transaction_has_a_token_of_its_own() -> None:
    calls = ScriptedCalls({})
    tables = tables_over(calls)
    await tables.transact(PARTS)
    await tables.transact(PARTS)
    assert [arguments["ClientRequestToken"] for _, arguments in calls.asked] == ["tx_1", "tx_2"]


async def test_a_transaction_always_in_conflict_ends_in_a_retryable_error() -> None:
    with pytest.raises(Retryable, match="other writers"):
        await tables_over(ScriptedCalls(CONFLICT)).transact(PARTS)


async def test_a_refusal_beside_a_conflict_is_not_reported_until_the_conflict_is_over() -> None:
    refused = {"Code": "ConditionalCheckFailed", "Item": ITEM}
    calls = ScriptedCalls(
        TransactionCancelled([refused, {"Code": "TransactionConflict"}]),
        TransactionCancelled([refused, {"Code": "None"}]),
    )
    assert await tables_over(calls).transact(PARTS) == Cancelled((Refused(PLAIN), None))


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Item size to update has exceeded the maximum allowed size", TooLarge),
        ("The document path provided in the update expression is invalid for update", Invalid),
    ],
)
async def test_a_part_that_cannot_be_is_raised(message: str, kind: type[Exception]) -> None:
    calls = ScriptedCalls(TransactionCancelled([{"Code": "None"}, {"Code": "ValidationError", "Message": message}]))
    with pytest.raises(kind):
        await tables_over(calls).transact(PARTS)


async def test_a_cursor_goes_back_as_the_key_it_was_made_from() -> None:
    items = [{**ITEM, "tenant_status": {"S": "acme#queued"}, "created": {"S": f"2026-0{n}"}} for n in range(3)]
    calls = ScriptedCalls({"Items": items, "LastEvaluatedKey": items[-1]}, {"Items": []})
    tables = tables_over(calls)
    query = Query("runs", "acme#queued", index="by_status", limit=2)
    page = await tables.query(query)
    assert len(page.items) == 2
    await tables.query(Query("runs", "acme#queued", index="by_status", limit=2, cursor=page.cursor))
    wanted = {name: items[1][name] for name in ("pk", "sk", "tenant_status", "created")}
    assert calls.asked[1][1]["ExclusiveStartKey"] == wanted


async def test_a_damaged_or_foreign_cursor_is_refused_before_anything_is_asked() -> None:
    calls = ScriptedCalls({"Items": [ITEM, {**ITEM, "sk": {"S": "b"}}]})
    tables = tables_over(calls)
    cursor = (await tables.query(Query("runs", "run_0", limit=1))).cursor
    assert cursor is not None
    foreign = (await tables.query(Query("projects", "run_0", limit=1))).cursor
    damaged = [cursor[:-1], cursor + "A", ("A" if cursor[0] != "A" else "B") + cursor[1:], "", "é", "!!!", foreign]
    asked = len(calls.asked)
    for wrong in damaged:
        with pytest.raises(BadCursor):
            await tables.query(Query("runs", "run_0", limit=1, cursor=wrong))
    assert len(calls.asked) == asked


async def test_a_page_that_ends_early_for_its_size_has_a_cursor() -> None:
    calls = ScriptedCalls({"Items": [ITEM], "LastEvaluatedKey": {"pk": ITEM["pk"], "sk": ITEM["sk"]}})
    page = await tables_over(calls).query(Query("runs", "run_0", limit=50))
    assert page.items == [PLAIN]
    assert page.cursor is not None


async def test_an_index_that_is_not_in_the_inventory_is_refused() -> None:
    with pytest.raises(Invalid, match="no index"):
        await tables_over(ScriptedCalls({})).query(Query("runs", "x", index="by_nothing"))
