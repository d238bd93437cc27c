"""The Tables port over DynamoDB."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from penstock_backbone.aws.calls import Calls, Service
from penstock_backbone.aws.errors import (
    ConditionFalse,
    InConflict,
    Throttled,
    TransactionCancelled,
    sort_code,
)
from penstock_backbone.aws.expressions import Statement, call_arguments, update_statement
from penstock_backbone.aws.patience import ATTEMPTS_MAX, Patience
from penstock_backbone.aws.settings import Names
from penstock_backbone.aws.values import from_item, to_key
from penstock_backbone.aws.wakeups import Wakeups
from penstock_backbone.errors import BackboneError, BadCursor, Invalid, Retryable, TooLarge
from penstock_backbone.inventory import Index, Inventory
from penstock_backbone.local.cursors import decode_cursor, encode_cursor
from penstock_backbone.local.limits import check_keys, check_query, check_writes
from penstock_backbone.ports import Ids
from penstock_backbone.vocabulary import (
    Cancelled,
    Check,
    Committed,
    Delete,
    Item,
    Key,
    Outcome,
    Page,
    Put,
    Query,
    Refused,
    TransactionOutcome,
    TransactionPart,
    Unsettled,
    Update,
    Write,
    Written,
)

STATEMENTS_MAX = 25
"""BatchExecuteStatement's limit."""
READ_ROUNDS_MAX = 20
"""BatchGetItem answers with 16 MB at most, so BATCH_ITEMS_MAX of the largest items take three rounds."""

_SINGLE_OPERATIONS: dict[type, str] = {Put: "put_item", Update: "update_item", Delete: "delete_item"}
_PART_NAMES: dict[type, str] = {Put: "Put", Update: "Update", Delete: "Delete", Check: "ConditionCheck"}

Element = TypeVar("Element")


class AwsTables:
    def __init__(
        self,
        calls: Calls,
        names: Names,
        inventory: Inventory,
        *,
        patience: Patience,
        ids: Ids,
        wakeups: Wakeups,
        in_statements: bool,
    ) -> None:
        """`in_statements`: several updates travel as PartiQL batches, at a tenth of the CPU of single calls."""
        self._calls = calls
        self._names = names
        self._tables = {table.name: table for table in inventory.tables}
        self._patience = patience
        self._ids = ids
        self._wakeups = wakeups
        self._in_statements = in_statements

    # --- reading ------------------------------------------------------------------------------

    async def get(self, keys: Sequence[Key]) -> list[Item | None]:
        return await self.read(keys, consistent=True)

    async def read(self, keys: Sequence[Key], *, consistent: bool) -> list[Item | None]:
        """As `get`; a read that need not be consistent costs half."""
        check_keys(keys, self._tables)
        if not keys:
            return []
        if len(keys) > 1:
            found = await self._read_batch(keys, consistent=consistent)
            return [found.get(key) for key in keys]
        answer = await self._calls.call(
            Service.TABLES,
            "get_item",
            TableName=self._names.physical(keys[0].table),
            Key=to_key(keys[0]),
            ConsistentRead=consistent,
        )
        return [from_item(answer["Item"]) if "Item" in answer else None]

    async def _read_batch(self, keys: Sequence[Key], *, consistent: bool) -> dict[Key, Item]:
        wanted: dict[str, Any] = {}
        for key in keys:
            request = wanted.setdefault(self._names.physical(key.table), {"Keys": [], "ConsistentRead": consistent})
            request["Keys"].append(to_key(key))
        found: dict[Key, Item] = {}
        for attempt in range(READ_ROUNDS_MAX):
            answer = await self._calls.call(Service.TABLES, "batch_get_item", RequestItems=wanted)
            for table, items in answer["Responses"].items():
                for item in map(from_item, items):
                    found[Key(self._names.logical(table), item["pk"], item["sk"])] = item
            wanted = answer.get("UnprocessedKeys") or {}
            if not wanted:
                return found
            if not any(answer["Responses"].values()):
                await self._patience.pause(attempt)
        raise Retryable("DynamoDB left keys of a batch unread again and again: try again more slowly")

    async def query(self, query: Query) -> Page:
        check_query(query, self._tables)
        index = self._index(query)
        hash_name, range_name = (index.hash_attribute, index.range_attribute) if index else ("pk", "sk")
        arguments: dict[str, Any] = {
            "TableName": self._names.physical(query.table),
            "KeyConditionExpression": "#h = :h",
            "ExpressionAttributeNames": {"#h": hash_name},
            "ExpressionAttributeValues": {":h": {"S": query.pk}},
            "ScanIndexForward": not query.descending,
            # One more than asked for, so that the last page knows that it is the last.
            "Limit": query.limit + 1,
        }
        if index:
            arguments["IndexName"] = index.name
        else:
            arguments["ConsistentRead"] = True
        if query.prefix:
            arguments["KeyConditionExpression"] += " AND begins_with(#r, :r)"
            arguments["ExpressionAttributeNames"]["#r"] = range_name
            arguments["ExpressionAttributeValues"][":r"] = {"S": query.prefix}
        position = decode_cursor(query)
        if position is not None:
            arguments["ExclusiveStartKey"] = _start_key(query, index, position)
        answer = await self._calls.call(Service.TABLES, "query", **arguments)
        items = [from_item(item) for item in answer["Items"]]
        if len(items) > query.limit:
            del items[query.limit :]
            last = items[-1]
        elif "LastEvaluatedKey" in answer:
            last = from_item(answer["LastEvaluatedKey"])
        else:
            return Page(items, None)
        return Page(items, encode_cursor(query, (last[range_name], last["pk"], last["sk"])))

    def _index(self, query: Query) -> Index | None:
        if query.index is None:
            return None
        for index in self._tables[query.table].indexes:
            if index.name == query.index:
                return index
        raise Invalid(f"the table {query.table!r} has no index {query.index!r}")

    # --- writing ------------------------------------------------------------------------------

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        check_writes(writes, self._tables)
        outcomes = [await self._write_one(writes[0])] if len(writes) == 1 else await self._write_each(writes)
        self._wake(writes, outcomes)
        return outcomes

    async def write_after(self, guard: Write, followers: Sequence[Write]) -> tuple[Outcome, list[Outcome]]:
        check_writes([guard, *followers], self._tables)
        first = await self._write_one(guard)
        if not isinstance(first, Written):
            return first, []
        outcomes = await self._removals_first(followers)
        self._wake([guard, *followers], [first, *outcomes])
        return first, outcomes

    async def _removals_first(self, writes: Sequence[Write]) -> list[Outcome]:
        """What frees something is visible before what takes it: the others are sent together, in no order."""
        waves = [[write for write in writes if isinstance(write, Delete) is removes] for removes in (True, False)]
        outcomes = {
            write.key: outcome
            for wave in waves
            if wave
            for write, outcome in zip(wave, await self._write_each(wave), strict=True)
        }
        return [outcomes[write.key] for write in writes]

    async def transact(self, parts: Sequence[TransactionPart]) -> TransactionOutcome:
        check_writes(parts, self._tables)
        if not parts:
            return Committed()
        items = [{_PART_NAMES[type(part)]: self._arguments(part)} for part in parts]
        # One token for all tries of this call: a try whose answer was lost is recognised, not applied twice.
        token = self._ids.new("tx")
        for attempt in range(ATTEMPTS_MAX):
            try:
                await self._calls.call(
                    Service.TABLES, "transact_write_items", TransactItems=items, ClientRequestToken=token
                )
            except TransactionCancelled as error:
                cancelled = _cancelled(error.reasons)
                if cancelled is not None:
                    return cancelled
            except (InConflict, Throttled):
                pass
            else:
                self._wakeups.committed({part.key.table for part in parts})
                return Committed()
            await self._patience.pause(attempt)
        raise Retryable(f"other writers held the transaction's items for {ATTEMPTS_MAX} tries: look again, then repeat")

    async def _write_one(self, write: Write) -> Outcome:
        """Raises what repeating cannot help, and Retryable when nobody knows whether it was applied."""
        arguments = self._arguments(write)
        if isinstance(write, Update) and write.returning:
            arguments["ReturnValues"] = "ALL_NEW"
        reason = ""
        for attempt in range(ATTEMPTS_MAX):
            try:
                answer = await self._calls.call(Service.TABLES, _SINGLE_OPERATIONS[type(write)], **arguments)
            except ConditionFalse as error:
                return Refused(from_item(error.item) if error.item else None)
            except (Throttled, InConflict) as error:
                reason = str(error)
            else:
                return Written(from_item(answer["Attributes"]) if "Attributes" in answer else None)
            if attempt + 1 < ATTEMPTS_MAX:
                await self._patience.pause(attempt)
        return Unsettled(reason)

    async def _write_each(self, writes: Sequence[Write]) -> list[Outcome]:
        outcomes: dict[Key, Outcome] = {}
        said = [(write, statement) for write in writes if (statement := self._statement(write)) is not None]
        batched = said if len(said) > 1 else []
        in_batches = {write.key for write, _ in batched}
        alone = [write for write in writes if write.key not in in_batches]
        tasks = [self._write_batch(part, outcomes) for part in _chunks(batched, STATEMENTS_MAX)]
        await asyncio.gather(*tasks, self._write_alone(alone, outcomes))
        return [outcomes[write.key] for write in writes]

    async def _write_batch(self, said: Sequence[tuple[Write, Statement]], outcomes: dict[Key, Outcome]) -> None:
        """One BatchExecuteStatement. Whatever it does not settle clearly is repeated as a single call: each
        write carries its own condition, so the repetition cannot apply anything twice.
        """
        statements = [
            {
                "Statement": statement.text,
                "Parameters": statement.parameters,
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
            for _, statement in said
        ]
        try:
            answer = await self._calls.call(Service.TABLES, "batch_execute_statement", Statements=statements)
        except Retryable as error:
            outcomes.update((write.key, Unsettled(str(error))) for write, _ in said)
            return
        except Invalid:
            await self._write_alone([write for write, _ in said], outcomes)
            return
        unclear = []
        for (write, _), response in zip(said, answer["Responses"], strict=True):
            refusal = response.get("Error")
            if refusal is None:
                outcomes[write.key] = Written()
            elif refusal.get("Code") == "ConditionalCheckFailed" and refusal.get("Item"):
                outcomes[write.key] = Refused(from_item(refusal["Item"]))
            else:
                unclear.append(write)
        await self._write_alone(unclear, outcomes)

    async def _write_alone(self, writes: Iterable[Write], outcomes: dict[Key, Outcome]) -> None:
        async def one(write: Write) -> None:
            try:
                outcomes[write.key] = await self._write_one(write)
            except (Retryable, TooLarge, Invalid) as error:
                outcomes[write.key] = Unsettled(str(error))

        await asyncio.gather(*(one(write) for write in writes))

    def _statement(self, write: Write) -> Statement | None:
        if not self._in_statements or not isinstance(write, Update):
            return None
        return update_statement(write, self._names.physical(write.key.table))

    def _arguments(self, part: TransactionPart) -> dict[str, Any]:
        return call_arguments(part, self._names.physical(part.key.table))

    def _wake(self, writes: Sequence[Write], outcomes: Sequence[Outcome]) -> None:
        self._wakeups.committed(
            {write.key.table for write, outcome in zip(writes, outcomes, strict=True) if isinstance(outcome, Written)}
        )


def _start_key(query: Query, index: Index | None, position: tuple[str, ...]) -> dict[str, Any]:
    if len(position) != 3:
        raise BadCursor("the cursor is damaged: begin again without one")
    sort_value, pk, sk = position
    start = {"pk": {"S": pk}, "sk": {"S": sk}}
    if index:
        start |= {index.hash_attribute: {"S": query.pk}, index.range_attribute: {"S": sort_value}}
    return start


def _cancelled(reasons: Sequence[dict[str, Any]]) -> Cancelled | None:
    """None: at least one part met a conflict or a throttle, so no one can say yet which conditions held."""
    errors: list[BackboneError] = []
    refusals: list[Refused | None] = []
    for reason in reasons:
        code = reason.get("Code") or "None"
        if code == "ConditionalCheckFailed":
            item = reason.get("Item")
            refusals.append(Refused(from_item(item) if item else None))
        else:
            refusals.append(None)
            if code != "None":
                errors.append(sort_code(code, reason.get("Message") or "", "a part of the transaction"))
    hopeless = [error for error in errors if not isinstance(error, Retryable)]
    if hopeless:
        raise hopeless[0]
    return None if errors or not any(refusals) else Cancelled(tuple(refusals))


def _chunks(elements: Sequence[Element], size: int) -> Iterator[Sequence[Element]]:
    for start in range(0, len(elements), size):
        yield elements[start : start + size]
