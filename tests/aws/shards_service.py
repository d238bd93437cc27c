"""DynamoDB Streams as its documentation describes it, in memory: shards that split, close, trim, and iterators that expire."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.aws.fakes import SETTINGS

from penstock_backbone.aws.calls import Calls, Service
from penstock_backbone.aws.errors import IteratorExpired, Trimmed
from penstock_backbone.aws.values import to_item
from penstock_backbone.errors import Retryable


@dataclass
class FakeShard:
    """Its records in order, of which the first `trimmed` are gone."""

    parent: str | None = None
    records: list[dict[str, Any]] = field(default_factory=list)
    closed: bool = False
    trimmed: int = 0


class ShardsService(Calls):
    """One stream for each of the tables."""

    def __init__(self, *tables: str) -> None:
        super().__init__(SETTINGS)
        self.streams: dict[str, dict[str, FakeShard]] = {f"dev-{table}": {} for table in tables}
        self.expired: set[str] = set()
        self.broken: set[str] = set()
        self.asked: list[str] = []
        self._number = 0

    def add(self, table: str, shard: str, pk: str, n: int) -> None:
        self._number += 1
        self.streams[f"dev-{table}"][shard].records.append(
            {
                "dynamodb": {
                    "Keys": to_item({"pk": pk, "sk": "s"}),
                    "NewImage": to_item({"pk": pk, "sk": "s", "n": n}),
                    "SequenceNumber": f"{self._number:021d}",
                }
            }
        )

    def open(self, table: str, shard: str, parent: str | None = None) -> None:
        self.streams[f"dev-{table}"][shard] = FakeShard(parent)

    async def call(self, service: Service, operation: str, **arguments: Any) -> dict[str, Any]:
        assert service is Service.STREAMS
        self.asked.append(operation)
        answer: dict[str, Any] = getattr(self, f"_{operation}")(arguments)
        return answer

    def _list_streams(self, asked: dict[str, Any]) -> dict[str, Any]:
        table = asked["TableName"]
        return {
            "Streams": [
                {"StreamArn": f"old/{table}", "StreamLabel": "2025"},
                {"StreamArn": f"arn/{table}", "StreamLabel": "2026"},
            ]
        }

    def _describe_stream(self, asked: dict[str, Any]) -> dict[str, Any]:
        """One shard a page."""
        shards = self.streams[asked["StreamArn"].removeprefix("arn/")]
        names = list(shards)
        after = asked.get("ExclusiveStartShardId")
        place = names.index(after) + 1 if after else 0
        page = names[place : place + 1]
        described = [{"ShardId": name, "ParentShardId": shards[name].parent} for name in page]
        last = {"LastEvaluatedShardId": page[0]} if place + 1 < len(names) else {}
        return {"StreamDescription": {"Shards": described} | last}

    def _get_shard_iterator(self, asked: dict[str, Any]) -> dict[str, Any]:
        arn, name = asked["StreamArn"], asked["ShardId"]
        shard = self.streams[arn.removeprefix("arn/")][name]
        place = shard.trimmed
        if asked["ShardIteratorType"] == "AFTER_SEQUENCE_NUMBER":
            numbers = [record["dynamodb"]["SequenceNumber"] for record in shard.records]
            place = numbers.index(asked["SequenceNumber"]) + 1
            if place <= shard.trimmed:
                raise Trimmed("trimmed")
        return {"ShardIterator": f"{arn}|{name}|{place}"}

    def _get_records(self, asked: dict[str, Any]) -> dict[str, Any]:
        iterator = asked["ShardIterator"]
        if iterator in self.broken:
            raise Retryable("lost")
        if iterator in self.expired:
            self.expired.discard(iterator)
            raise IteratorExpired("expired")
        arn, name, place = iterator.split("|")
        shard = self.streams[arn.removeprefix("arn/")][name]
        page = shard.records[int(place) : int(place) + asked["Limit"]]
        end = int(place) + len(page)
        if shard.closed and end == len(shard.records):
            return {"Records": page}
        return {"Records": page, "NextShardIterator": f"{arn}|{name}|{end}"}
