"""What AWS does below the ports and the aws engine counts on or guards against: asked of the emulators directly.

Each test says what AWS documents. Where an emulator differs the port's own suites cannot show it, because the
engine checks first, or works around it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.contract.contract_inventory import SOURCE, THINGS
from tests.contract.writing import key, put, read_there

from penstock_backbone.aws.calls import Calls, Service
from penstock_backbone.aws.engine import AwsEngine
from penstock_backbone.aws.errors import ConditionFalse, TransactionCancelled
from penstock_backbone.engines import Engine
from penstock_backbone.errors import BackboneError
from penstock_backbone.vocabulary import Key, Put, Written

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("rig", ["ministack", "moto"], indirect=True)]

TABLE = f"contract-{THINGS}"
BUS = "contract-contract"


@pytest.fixture
def calls(engine: Engine) -> Calls:
    assert isinstance(engine, AwsEngine)
    return engine.calls


def typed(where: Key) -> dict[str, Any]:
    return {"pk": {"S": where.pk}, "sk": {"S": where.sk}}


async def events_refused(calls: Calls, detail: str) -> int:
    entry = {"EventBusName": BUS, "Source": SOURCE, "DetailType": "Nowhere", "Detail": detail}
    answer = await calls.call(Service.BUS, "put_events", Entries=[entry])
    refused: int = answer["FailedEntryCount"]
    return refused


async def test_an_event_whose_detail_is_not_json_is_refused(calls: Calls) -> None:
    assert await events_refused(calls, "{") == 1


async def test_an_event_over_a_megabyte_is_refused(calls: Calls) -> None:
    detail = json.dumps({"x": "x" * 1_100_000})
    try:
        refused = await events_refused(calls, detail)
    except BackboneError:
        refused = 1
    assert refused == 1


async def test_a_batch_of_more_than_sixteen_megabytes_is_answered_in_part(
    engine: Engine, calls: Calls, pk: str
) -> None:
    keys = [key(pk, f"{n:02}") for n in range(44)]
    body = "x" * 400_000
    for start in range(0, 44, 11):
        writes = [Put(where, {"body": body}) for where in keys[start : start + 11]]
        assert await engine.tables.write(writes) == [Written()] * 11
    wanted = {TABLE: {"Keys": [typed(where) for where in keys]}}
    answer = await calls.call(Service.TABLES, "batch_get_item", RequestItems=wanted)
    assert answer["UnprocessedKeys"][TABLE]["Keys"]


async def test_one_path_twice_in_an_update_is_refused(engine: Engine, calls: Calls, pk: str) -> None:
    await put(engine.tables, key(pk), {"a": 1})
    with pytest.raises(BackboneError):
        await calls.call(
            Service.TABLES,
            "update_item",
            TableName=TABLE,
            Key=typed(key(pk)),
            UpdateExpression="SET a = :n, a = :n",
            ExpressionAttributeValues={":n": {"N": "2"}},
        )


async def test_a_filter_on_a_key_of_the_table_is_refused(calls: Calls, pk: str) -> None:
    with pytest.raises(BackboneError):
        await calls.call(
            Service.TABLES,
            "query",
            TableName=TABLE,
            KeyConditionExpression="pk = :p",
            FilterExpression="sk = :s",
            ExpressionAttributeValues={":p": {"S": pk}, ":s": {"S": "one"}},
        )


async def partiql(calls: Calls, where: Key, table: str = TABLE) -> None:
    """Sets b where a is 1."""
    await calls.call(
        Service.TABLES,
        "execute_statement",
        Statement=f'UPDATE "{table}" SET b = ? WHERE pk = ? AND sk = ? AND a = ?',
        Parameters=[{"N": "2"}, *typed(where).values(), {"N": "1"}],
    )


async def test_an_update_by_statement_obeys_its_condition(engine: Engine, calls: Calls, pk: str) -> None:
    before = await put(engine.tables, key(pk), {"a": 7})
    with pytest.raises(ConditionFalse):
        await partiql(calls, key(pk))
    assert await read_there(engine.tables, key(pk)) == before


async def test_an_update_by_statement_is_on_the_stream(engine: Engine, calls: Calls, pk: str) -> None:
    where = key(pk, "one", "stream-stated")
    await put(engine.tables, where, {"a": 1})
    await partiql(calls, where, "contract-stream-stated")
    assert (await read_there(engine.tables, where))["b"] == 2
    records = await engine.streams.read("stated-reader", 10, 1.0)
    assert [record.item and record.item.get("b") for record in records] == [None, 2]


async def test_a_transaction_sent_twice_under_one_token_is_applied_once(engine: Engine, calls: Calls, pk: str) -> None:
    await put(engine.tables, key(pk), {"n": 0})
    change = {
        "TableName": TABLE,
        "Key": typed(key(pk)),
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    for _ in range(2):
        await calls.call(
            Service.TABLES, "transact_write_items", TransactItems=[{"Update": change}], ClientRequestToken=pk
        )
    assert (await read_there(engine.tables, key(pk)))["n"] == 1


async def test_a_token_used_for_another_transaction_is_refused(calls: Calls, pk: str) -> None:
    def creation(sk: str) -> list[dict[str, Any]]:
        return [{"Put": {"TableName": TABLE, "Item": typed(key(pk, sk))}}]

    await calls.call(Service.TABLES, "transact_write_items", TransactItems=creation("a"), ClientRequestToken=pk)
    with pytest.raises(BackboneError):
        await calls.call(Service.TABLES, "transact_write_items", TransactItems=creation("b"), ClientRequestToken=pk)


async def test_a_cancelled_transaction_shows_the_item_that_was_in_the_way(
    engine: Engine, calls: Calls, pk: str
) -> None:
    await put(engine.tables, key(pk), {"n": 1})
    creation = {
        "TableName": TABLE,
        "Item": typed(key(pk)),
        "ConditionExpression": "attribute_not_exists(pk)",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    with pytest.raises(TransactionCancelled) as caught:
        await calls.call(Service.TABLES, "transact_write_items", TransactItems=[{"Put": creation}])
    assert caught.value.reasons[0]["Item"] == typed(key(pk)) | {"n": {"N": "1"}}


async def queue_with_a_message(calls: Calls, queue: str) -> tuple[str, str]:
    """Its address, and the receipt of the one message in it."""
    address: str = (await calls.call(Service.QUEUES, "get_queue_url", QueueName=f"contract-{queue}"))["QueueUrl"]
    await calls.call(Service.QUEUES, "send_message", QueueUrl=address, MessageBody="x")
    answer = await calls.call(Service.QUEUES, "receive_message", QueueUrl=address, WaitTimeSeconds=1)
    receipt: str = answer["Messages"][0]["ReceiptHandle"]
    return address, receipt


async def test_a_message_may_be_deleted_twice(calls: Calls) -> None:
    address, receipt = await queue_with_a_message(calls, "twice")
    for _ in range(2):
        answer = await calls.call(
            Service.QUEUES,
            "delete_message_batch",
            QueueUrl=address,
            Entries=[{"Id": "0", "ReceiptHandle": receipt}],
        )
        assert not answer.get("Failed")


async def test_a_message_may_be_hidden_for_twelve_hours_and_no_longer(calls: Calls) -> None:
    address, receipt = await queue_with_a_message(calls, "long")
    with pytest.raises(BackboneError):
        await calls.call(
            Service.QUEUES,
            "change_message_visibility",
            QueueUrl=address,
            ReceiptHandle=receipt,
            VisibilityTimeout=12 * 3600 + 1,
        )
