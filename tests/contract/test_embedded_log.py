"""The store's write-ahead log: reserved, so that a commit does not make the file longer, and still read back after a crash."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path

from tests.contract.contract_inventory import CONTRACT

from penstock_backbone.embedded.database import LOG_BYTES, LOG_PAGES, Database
from penstock_backbone.local.transactor import Transactor
from penstock_backbone.vocabulary import Key, Put

COMMITS = 600
WRITES_PER_COMMIT = 8


def key(number: int) -> Key:
    return Key("stream-parted", "one", f"{number:05d}")


def write(database: Database, first: int, count: int) -> None:
    Transactor(database).write([Put(key(number), {"text": "x" * 4_000}) for number in range(first, first + count)])
    database.commit(1)


def test_commits_do_not_make_the_log_longer(tmp_path: Path) -> None:
    """More pages are written than it holds: SQLite begins it anew."""
    database = Database(tmp_path / "data.db", CONTRACT)
    database.reserve_log()
    log = tmp_path / "data.db-wal"
    assert log.stat().st_size == LOG_BYTES
    assert COMMITS * WRITES_PER_COMMIT > LOG_PAGES
    for number in range(COMMITS):
        write(database, number * WRITES_PER_COMMIT, WRITES_PER_COMMIT)
    assert log.stat().st_size == LOG_BYTES
    database.close()


def test_what_was_committed_to_a_reserved_log_is_there_after_a_crash(tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    database = Database(tmp_path / "before" / "data.db", CONTRACT)
    database.reserve_log()
    for number in range(5):
        write(database, number, 1)
    shutil.copytree(tmp_path / "before", tmp_path / "after")
    database.close()

    again = Database(tmp_path / "after" / "data.db", CONTRACT)
    assert [again.load(key(number)) is not None for number in range(6)] == [True] * 5 + [False]
    again.reserve_log()
    write(again, 5, 1)
    assert again.load(key(5)) is not None
    again.close()


def test_a_disk_that_has_no_room_for_the_reserve_does_not_keep_the_store_from_working(tmp_path: Path) -> None:
    database = Database(tmp_path / "data.db", CONTRACT)
    log = tmp_path / "data.db-wal"
    length = log.stat().st_size
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LOG_BYTES // 2, most))
    try:
        database.reserve_log()
        assert log.stat().st_size == length, "what it took of the room is given back"
        write(database, 0, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert database.load(key(0)) is not None
    database.close()
