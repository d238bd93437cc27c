"""Reads the whole story of a data folder afterwards, commit by commit, and says what should never have been."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import msgspec

from penstock_backbone.aws.engine import AwsSettings, connect
from penstock_backbone.embedded.database import Database
from penstock_backbone.inventory import INVENTORY, RUNS, TOKENS, Consumer
from penstock_backbone.records.runs import RunItem, as_run, story
from penstock_backbone.records.tokens import GRANT, HEAD_SK, HELD, pending
from penstock_backbone.vocabulary import Item, Key

RECORDS_MAX = 1_000_000
QUIET_SECONDS = 2.0
PAGE_RECORDS = 2_000
Change = tuple[Key, Item | None]


def changes(folder: Path) -> list[Change]:
    """Every committed change of a streamed table, in order, from the store's own feed. The store must have ended."""
    database = Database(folder / "penstock.db", INVENTORY)
    try:
        records = database.records_after(0, RECORDS_MAX)
        assert records[0].seq == 1, "the feed has been trimmed, so it does not tell everything"
        return [(record.key, _decoded(record.body)) for record in records]
    finally:
        database.close()


async def changes_on_aws(settings: AwsSettings) -> list[Change]:
    """The same from the tables' streams, read from their beginning by a consumer that nobody else is."""
    auditor = Consumer("auditor", "reads everything again", (TOKENS, RUNS), batch_records=1000)
    engine = await connect(settings, replace(INVENTORY, consumers=(auditor,)))
    found: list[Change] = []
    try:
        while records := await engine.streams.read(auditor.name, auditor.batch_records, QUIET_SECONDS):
            found += [(record.key, record.item) for record in records]
            await engine.streams.settle(auditor.name, records[-1].sequence)
    finally:
        await engine.close()
    return found


def most_held(feed: Iterable[Change]) -> int:
    """The largest number of tokens that were held after any one change."""
    held: set[str] = set()
    most = 0
    for key, item in feed:
        if key.table == TOKENS and key.pk.startswith("TK#"):
            if item is not None and item["st"] == HELD:
                held.add(key.sk)
            else:
                held.discard(key.sk)
            most = max(most, len(held))
    return most


def most_granted(feed: Iterable[Change]) -> int:
    """The same by the decisions alone. The head's commit is the decision; on AWS its token items follow one by one, so
    a grant may become visible a moment before the release that it was decided together with."""
    granted = Granted()
    for key, item in feed:
        if key.table == TOKENS and key.sk == HEAD_SK and item is not None:
            granted.decided(item)
    return granted.most


class Granted:
    """`most`: the largest number of tokens that were held after any one decision, all of them from the first on."""

    def __init__(self) -> None:
        self._held: set[str] = set()
        self.most = 0

    def decided(self, head: Item) -> None:
        for operation in pending(head):
            self._held.add(operation.token) if operation.op == GRANT else self._held.discard(operation.token)
        self.most = max(self.most, len(self._held))


class Decisions:
    """Follows the decisions of a store that runs, record by record of its feed, so that what is trimmed later is known already."""

    def __init__(self, folder: Path) -> None:
        self._address = f"file:{folder / 'penstock.db'}?mode=ro"
        self._through = 0
        self.granted = Granted()

    def follow(self) -> None:
        """Up to now. sqlite3.OperationalError: not at the moment, because the store has just died."""
        with contextlib.closing(sqlite3.connect(self._address, uri=True)) as connection:
            while rows := connection.execute(_HEADS, (TOKENS, HEAD_SK, self._through, PAGE_RECORDS)).fetchall():
                for seq, head in rows:
                    assert seq == self._through + 1, f"the feed has been trimmed between {self._through} and {seq}"
                    self._through = seq
                    if head is not None:
                        self.granted.decided(msgspec.msgpack.decode(head))


_HEADS = "select seq, case when tbl = ? and sk = ? then body end from feed where seq > ? order by seq limit ?"
"""Every record's number, so that none can be missing, and what a head was changed to."""


def tokens_left(feed: Iterable[Change]) -> set[str]:
    left: set[str] = set()
    for key, item in feed:
        if key.table == TOKENS and key.pk.startswith("TK#"):
            left.discard(key.sk) if item is None else left.add(key.sk)
    return left


def runs(feed: Iterable[Change]) -> list[RunItem]:
    """The last image of each run."""
    last = {key.pk: item for key, item in feed if key.table == RUNS and item is not None}
    return [as_run({"pk": run_id, **item}) for run_id, item in last.items()]


def broken_promises(run: RunItem) -> list[str]:
    """Numbers without gaps; each stage completed once, and never begun again afterwards; one end."""
    broken = []
    completed: set[str] = set()
    ends = 0
    for number, fact in story(run):
        stage = fact["d"].get("stage", "")
        if ends:
            broken.append(f"{run['pk']}: {fact['t']} ({number}) after the end")
        if fact["t"] == "StageStarted" and stage in completed:
            broken.append(f"{run['pk']}: {stage} began again ({number}) after it was completed")
        if fact["t"] == "StageCompleted":
            if stage in completed:
                broken.append(f"{run['pk']}: {stage} was completed twice ({number})")
            completed.add(stage)
        ends += fact["t"] in ("RunSucceeded", "RunFailed", "RunCancelled")
    if ends != 1:
        broken.append(f"{run['pk']}: {ends} ends")
    if completed != set(run["results"]):
        broken.append(f"{run['pk']}: results of {sorted(run['results'])}, but completed are {sorted(completed)}")
    return broken


def _decoded(body: bytes | None) -> Item | None:
    return None if body is None else msgspec.msgpack.decode(body)
