"""The embedded store's memory: what it keeps beside the file has a limit in bytes, and nothing is missing for that."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.contract.contract_inventory import CONTRACT

from penstock_backbone.embedded import database as kept_items
from penstock_backbone.embedded import tail as kept_records
from penstock_backbone.embedded.database import Database
from penstock_backbone.local.transactor import Transactor
from penstock_backbone.vocabulary import Key, Put, Update

CACHE_BYTES = 50_000
TAIL_BYTES = 20_000
ITEMS = 200


def key(number: int) -> Key:
    return Key("stream-parted", "one", f"{number:05d}")


@pytest.mark.parametrize("text_bytes", [10, 1_000, 30_000])
def test_large_items_are_kept_in_memory_up_to_a_limit_and_read_from_the_file_beyond_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text_bytes: int
) -> None:
    monkeypatch.setattr(kept_items, "CACHE_BYTES_MAX", CACHE_BYTES)
    monkeypatch.setattr(kept_records, "TAIL_BYTES_MAX", TAIL_BYTES)
    database = Database(tmp_path / "data.db", CONTRACT)
    transactor = Transactor(database)
    for turn in range(3):
        for number in range(ITEMS):
            write = Update(key(number), {"turn": turn}) if turn else Put(key(number), {"text": "x" * text_bytes})
            transactor.write([write])
            database.commit(1)
            assert sum(image.size for image in database._cache.values()) <= CACHE_BYTES
            assert sum(len(record.body or b"") for record in database._tail._records) <= TAIL_BYTES
        database.flush_items()
    images = [database.load(key(number)) for number in range(ITEMS)]
    assert all(image is not None and image["turn"] == 2 and len(image["text"]) == text_bytes for image in images)
    assert [record.seq for record in database.records_after(0, 1_000)][:ITEMS] == list(range(1, ITEMS + 1))
    database.close()
