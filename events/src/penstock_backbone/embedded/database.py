"""The SQLite file: items, indexes, the feed, positions and messages, changed in groups with one sync each.

    items(tbl, pk, sk → body)      idx(tbl, name, h, r, pk, sk)      feed(seq → at, tbl, pk, sk, body)
    positions(consumer → seq)      messages(number → queue, body, grp)      progress(items_to, lives → seq)

For streamed tables the feed is what a commit makes durable: one append a change. Their items and indexes
follow a little later, a run's many commits as one row (`items_to` says how far), and are brought up to date
from the feed when the file is opened. Between two commits everything is staged in memory; a failed commit
forgets changes of items and starts again from what the file says. Messages and positions stay staged: whoever
settled a record because of them does not come back with it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from penstock_backbone.embedded.tail import Changes, Record, Tail
from penstock_backbone.errors import Fatal
from penstock_backbone.inventory import Index, Inventory
from penstock_backbone.local.cursors import decode_cursor, encode_cursor
from penstock_backbone.local.images import Image, prepare_image
from penstock_backbone.local.messages import Stored
from penstock_backbone.vocabulary import PAGE_BYTES_MAX, Item, Key, Query

SCHEMA_VERSION = 1
CACHE_ITEMS_MAX = 50_000
CACHE_BYTES_MAX = 32 * 1024 * 1024
"""Of the encoded items: decoded ones take several times as much."""
FEED_RECORDS_MAX = 1_000_000
FEED_KEPT_SECONDS = 24 * 3600
TRIM_RECORDS = 5_000
UNFLUSHED_ITEMS_MAX = 5_000
CATCH_UP_RECORDS = 1_000
LOG_PAGES = 4_000
"""Of the write-ahead log, until SQLite brings the file up to date and begins the log anew."""
LOG_BYTES = 17 * 1024 * 1024
"""A little more than LOG_PAGES, so that the log hardly ever grows."""

_SCHEMA = """
create table if not exists items(tbl text, pk text, sk text, body blob, primary key(tbl, pk, sk)) without rowid;
create table if not exists idx(tbl text, name text, h text, r text, pk text, sk text,
                               primary key(tbl, name, h, r, pk, sk)) without rowid;
create table if not exists feed(seq integer primary key, at integer, tbl text, pk text, sk text, body blob);
create table if not exists positions(consumer text primary key, seq integer) without rowid;
create table if not exists progress(name text primary key, seq integer) without rowid;
create table if not exists messages(number integer primary key, queue text, body text, grp text);
"""


IndexEntry: TypeAlias = tuple[str, str, str, str, str, str]


class Database:
    """Implements Transactor's Storage. One thread, one connection, one writer."""

    def __init__(self, path: Path, inventory: Inventory) -> None:
        self._path = path
        self._connection = _connect(path)
        self._indexes = {table.name: table.indexes for table in inventory.tables}
        self._streamed = {table.name for table in inventory.tables if table.streamed}
        self._cache: dict[Key, Image] = {}
        self._unflushed: dict[Key, Image] = {}
        self._index_moves: dict[tuple[str, Key], tuple[IndexEntry | None, IndexEntry | None]] = {}
        self._unstreamed: set[Key] = set()
        self._staged: set[Key] = set()
        self._records: list[Record] = []
        self._positions: dict[str, int] = {}
        self._messages: list[Stored] = []
        self._late_messages: list[Stored] = []
        self._settled: list[int] = []
        self._tail = Tail()
        self._cache_bytes = 0
        self.life = self._number("select seq from progress where name = 'lives'")
        self.last_seq = self._number("select coalesce(max(seq), 0) from feed")
        self._trimmed_to = self._number("select coalesce(min(seq) - 1, 0) from feed")
        self._catch_up()

    def reserve_log(self) -> None:
        """Fills the write-ahead log up with zeros, which SQLite takes for its end. A sync of what was overwritten takes half
        of the time of one after which the file is longer, and far less than that beside others who write. Where there is no
        room for it, the log grows as it is needed."""
        log = self._path.with_name(f"{self._path.name}-wal")
        with contextlib.suppress(OSError), log.open("r+b", buffering=0) as file:
            length = file.seek(0, os.SEEK_END)
            reserve = bytes(max(0, LOG_BYTES - length))
            if file.write(reserve) < len(reserve):
                file.truncate(length)
            os.fdatasync(file.fileno())

    # --- Storage ------------------------------------------------------------------------------

    def load(self, key: Key) -> Item | None:
        image = self._image(key)
        return image.item if image else None

    def prepare(self, key: Key, item: Item | None) -> Image:
        """What a request brought was decoded for this process alone."""
        return prepare_image(item, self._indexes[key.table])

    def store(self, key: Key, change: Image, old: Item | None) -> None:
        self._keep(key, change, old)
        self._staged.add(key)
        if key.table in self._streamed:
            self.last_seq += 1
            self._records.append(Record(self.last_seq, key, change.body if change.item is not None else None))
        else:
            self._unstreamed.add(key)

    def _keep(self, key: Key, change: Image, old: Item | None) -> None:
        self._remember(key, change)
        self._unflushed[key] = change
        for index in self._indexes[key.table]:
            before = _index_entry(index, key, old)
            after = _index_entry(index, key, change.item)
            if before != after:
                first, _ = self._index_moves.get((index.name, key), (before, None))
                self._index_moves[index.name, key] = (first, after)

    # --- reads --------------------------------------------------------------------------------

    def body(self, key: Key) -> bytes | None:
        image = self._image(key)
        return image.body if image and image.item is not None else None

    def page(self, query: Query) -> tuple[list[bytes], str | None]:
        """Encoded items and the next cursor. Sees what is staged."""
        position = decode_cursor(query)
        self.flush_items()
        rows = self._range(query, position)
        bodies: list[bytes] = []
        size = 0
        for _, _, _, body in rows[: query.limit]:
            size += len(body)
            if bodies and size > PAGE_BYTES_MAX:
                break
            bodies.append(body)
        if len(bodies) == len(rows):
            return bodies, None
        last = rows[len(bodies) - 1]
        return bodies, encode_cursor(query, (last[0], last[1], last[2]))

    def records_after(self, seq: int, limit: int) -> list[Record]:
        """Committed records beyond `seq`, from memory where the tail reaches back that far."""
        latest = self._tail.after(seq, limit)
        if latest is not None:
            return latest
        rows = self._connection.execute(
            "select seq, tbl, pk, sk, body from feed where seq > ? order by seq limit ?", (seq, limit)
        )
        return [Record(number, Key(table, pk, sk), body) for number, table, pk, sk, body in rows]

    def positions(self) -> dict[str, int]:
        return dict(self._connection.execute("select consumer, seq from positions").fetchall())

    def messages(self) -> list[Stored]:
        rows = self._connection.execute("select number, queue, body, grp from messages order by number")
        return [Stored(number, queue, body, group) for number, queue, body, group in rows]

    # --- staging and commit -------------------------------------------------------------------

    def stage_message(self, message: Stored) -> None:
        self._messages.append(message)

    def stage_settled(self, number: int) -> None:
        self._settled.append(number)

    def stage_position(self, consumer: str, seq: int) -> None:
        self._positions[consumer] = seq

    @property
    def has_changes(self) -> bool:
        """Changes that somebody waits for. Positions, settled and late messages can wait for a later group."""
        return bool(self._staged or self._messages)

    @property
    def has_messages(self) -> bool:
        """Staged, and not yet durable."""
        return bool(self._messages)

    def are_durable(self, keys: Iterable[Key]) -> bool:
        """Whether what these items are now would outlive the process."""
        return self._staged.isdisjoint(keys)

    def commit(self, at_ms: int) -> Changes:
        """Makes everything staged durable with one sync; the records are now on the feed. After sqlite3.Error: start_again."""
        if self._unstreamed or len(self._unflushed) > UNFLUSHED_ITEMS_MAX:
            self.flush_items()
        self._write_staged(at_ms)
        if self._connection.in_transaction:
            self._connection.execute("commit")
        for staged in (self._late_messages, self._messages, self._settled, self._positions):
            staged.clear()
        changes = Changes(self._records, self._staged)
        self._records, self._staged = [], set()
        self._tail.append(changes.records)
        if len(self._cache) > CACHE_ITEMS_MAX or self._cache_bytes > CACHE_BYTES_MAX:
            for key in list(self._cache)[: (len(self._cache) + 1) // 2]:
                self._forget(key)
        return changes

    def _remember(self, key: Key, image: Image) -> None:
        self._forget(key)
        self._cache[key] = image
        self._cache_bytes += image.size

    def _forget(self, key: Key) -> None:
        known = self._cache.pop(key, None)
        if known is not None:
            self._cache_bytes -= known.size

    def flush_items(self) -> None:
        """Hands changed items and index entries to SQLite, inside the transaction that the next commit ends."""
        if not self._unflushed:
            return
        self._begin()
        run = self._connection.executemany
        changed = self._unflushed.items()
        run(
            "insert or replace into items values(?, ?, ?, ?)",
            [(*_parts(k), i.body) for k, i in changed if i.item is not None],
        )
        run("delete from items where tbl=? and pk=? and sk=?", [_parts(k) for k, i in changed if i.item is None])
        moves = self._index_moves.values()
        left = [before for before, _ in moves if before]
        run("delete from idx where tbl=? and name=? and h=? and r=? and pk=? and sk=?", left)
        run("insert or replace into idx values(?, ?, ?, ?, ?, ?)", [after for _, after in moves if after])
        self._connection.execute("insert or replace into progress values('items_to', ?)", (self.last_seq,))
        for key in [key for key, image in changed if image.item is None]:
            self._forget(key)
        self._unflushed.clear()
        self._index_moves.clear()
        self._unstreamed.clear()

    def trim(self, settled_to: int, older_than_ms: int) -> None:
        """Drops a bounded number of feed records that every consumer settled and that are old or too many; never the last
        one, from which the next process counts on."""
        first = self._trimmed_to + 1
        through = min(settled_to, self._trimmed_to + TRIM_RECORDS, self.last_seq - 1)
        crowded = self.last_seq - first >= FEED_RECORDS_MAX
        row = self._connection.execute("select at from feed where seq = ?", (through,)).fetchone()
        if row and (crowded or row[0] < older_than_ms):
            self.flush_items()
            self._begin()
            self._connection.execute("delete from feed where seq <= ?", (through,))
            self._trimmed_to = through

    def close(self) -> None:
        self._connection.close()

    def _image(self, key: Key) -> Image | None:
        image = self._cache.get(key) or self._unflushed.get(key)
        if image is None:
            row = self._connection.execute("select body from items where tbl=? and pk=? and sk=?", _parts(key))
            found = row.fetchone()
            if found is None:
                return None
            image = _image_of(found[0])
            self._remember(key, image)
        return image

    def _number(self, statement: str) -> int:
        ((number,),) = self._connection.execute(statement).fetchall()
        return int(number)

    def _catch_up(self) -> None:
        """Items follow the feed: those of records beyond `items_to` are taken from there."""
        done = self._number("select coalesce(max(seq), 0) from progress where name = 'items_to'")
        while done < self.last_seq:
            records = self.records_after(done, CATCH_UP_RECORDS)
            for record in records:
                self._keep(record.key, _image_of(record.body), self.load(record.key))
            done = records[-1].seq

    def start_again(self) -> None:
        """After a failed commit: back to what the file says."""
        if self._connection.in_transaction:
            self._connection.execute("rollback")
        for staged in (
            self._cache,
            self._unflushed,
            self._index_moves,
            self._unstreamed,
            self._staged,
            self._records,
        ):
            staged.clear()
        self._cache_bytes = 0
        self._late_messages += self._messages
        self._messages.clear()
        self.last_seq = self._number("select coalesce(max(seq), 0) from feed")
        self._catch_up()

    def _range(self, query: Query, position: tuple[str, ...] | None) -> list[tuple[Any, ...]]:
        """Rows (sort value, pk, sk, body), one more than asked for."""
        order, beyond = ("desc", "<") if query.descending else ("asc", ">")
        low, high = query.prefix, query.prefix + "\U0010ffff"
        if query.index is None:
            after = "" if position is None else f"and sk {beyond} ?"
            statement = (
                "select sk, pk, sk, body from items where tbl = ? and pk = ? and sk >= ? and sk < ? "  # noqa: S608  # only our own words
                f"{after} order by sk {order} limit ?"
            )
            bound = [query.table, query.pk, low, high, *(position or ())[:1], query.limit + 1]
        else:
            after = "" if position is None else f"and (r, x.pk, x.sk) {beyond} (?, ?, ?)"
            statement = (
                "select r, x.pk, x.sk, body from idx x join items i on i.tbl = x.tbl and i.pk = x.pk and i.sk = x.sk "  # noqa: S608  # only our own words
                "where x.tbl = ? and name = ? and h = ? and r >= ? and r < ? "
                f"{after} order by r {order}, x.pk {order}, x.sk {order} limit ?"
            )
            bound = [query.table, query.index, query.pk, low, high, *(position or ()), query.limit + 1]
        return self._connection.execute(statement, bound).fetchall()

    def _begin(self) -> None:
        if not self._connection.in_transaction:
            self._connection.execute("begin immediate")

    def _write_staged(self, at_ms: int) -> None:
        """Feed, messages and positions."""
        messages = [*self._late_messages, *self._messages]
        if not (self._records or messages or self._settled or self._positions):
            return
        self._begin()
        run = self._connection.executemany
        if self._records:
            changes = [(r.seq, at_ms, *_parts(r.key), r.body) for r in self._records]
            run("insert into feed values(?, ?, ?, ?, ?, ?)", changes)
        if messages:
            rows = [(message.number, message.queue, message.body, message.group) for message in messages]
            run("insert or replace into messages values(?, ?, ?, ?)", rows)
        if self._settled:
            run("delete from messages where number=?", [(number,) for number in self._settled])
        if self._positions:
            run("insert or replace into positions values(?, ?)", list(self._positions.items()))


def _image_of(body: bytes | None) -> Image:
    return Image(None, b"", 0) if body is None else Image(msgspec.msgpack.decode(body), body, len(body))


def _parts(key: Key) -> tuple[str, str, str]:
    return key.table, key.pk, key.sk


def _index_entry(index: Index, key: Key, item: Item | None) -> IndexEntry | None:
    if item is None:
        return None
    hash_value, range_value = item.get(index.hash_attribute), item.get(index.range_attribute)
    if isinstance(hash_value, str) and isinstance(range_value, str):
        return (key.table, index.name, hash_value, range_value, key.pk, key.sk)
    return None


def _connect(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=full")
        connection.execute(f"pragma wal_autocheckpoint={LOG_PAGES}")
        connection.execute("pragma cache_size=-65536")
        ((version,),) = connection.execute("pragma user_version")
        if version not in (0, SCHEMA_VERSION):
            raise Fatal(
                f"{path} was written by another version of Penstock (layout {version}): use another data folder"
            )
        connection.executescript(_SCHEMA)
        connection.execute(f"pragma user_version={SCHEMA_VERSION}")
        connection.execute("insert into progress values('lives', 1) on conflict(name) do update set seq = seq + 1")
    except sqlite3.Error as error:
        raise Fatal(
            f"the data file {path} cannot be opened ({error}): check the folder's rights and free space"
        ) from error
    return connection
