"""The SQLite file: items, indexes, the feed, positions and messages, changed in groups with one sync each.

    items(tbl, pk, sk → body)      idx(tbl, name, h, r, pk, sk)      feed(seq → at, tbl, pk, sk, body)
    positions(consumer → seq)      messages(number → queue, body, grp)

Between two commits everything is staged here in memory; a failed commit forgets it all, cache included.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import msgspec

from penstock_backbone.errors import Fatal
from penstock_backbone.inventory import Index, Inventory
from penstock_backbone.local.cursors import decode_cursor, encode_cursor
from penstock_backbone.local.images import Image, prepare_image
from penstock_backbone.local.messages import Stored
from penstock_backbone.vocabulary import PAGE_BYTES_MAX, Item, Key, Query

SCHEMA_VERSION = 1
CACHE_ITEMS_MAX = 50_000
TAIL_RECORDS_MAX = 20_000
FEED_RECORDS_MAX = 1_000_000
FEED_KEPT_SECONDS = 24 * 3600
TRIM_RECORDS = 5_000

_SCHEMA = """
create table if not exists items(tbl text, pk text, sk text, body blob, primary key(tbl, pk, sk)) without rowid;
create table if not exists idx(tbl text, name text, h text, r text, pk text, sk text,
                               primary key(tbl, name, h, r, pk, sk)) without rowid;
create table if not exists feed(seq integer primary key, at integer, tbl text, pk text, sk text, body blob);
create table if not exists positions(consumer text primary key, seq integer) without rowid;
create table if not exists messages(number integer primary key, queue text, body text, grp text);
"""


IndexEntry: TypeAlias = tuple[str, str, str, str, str, str]


class Record(NamedTuple):
    """A change on the feed; `body` None: the item was deleted."""

    seq: int
    key: Key
    body: bytes | None


class Database:
    """Implements Transactor's Storage. One thread, one connection, one writer."""

    def __init__(self, path: Path, inventory: Inventory) -> None:
        self._connection = _connect(path)
        self._indexes = {table.name: table.indexes for table in inventory.tables}
        self._streamed = {table.name for table in inventory.tables if table.streamed}
        self._cache: dict[Key, Image] = {}
        self._items: dict[Key, bytes | None] = {}
        self._index_moves: dict[tuple[str, Key], tuple[IndexEntry | None, IndexEntry | None]] = {}
        self._records: list[Record] = []
        self._positions: dict[str, int] = {}
        self._messages: list[Stored] = []
        self._settled: list[int] = []
        self._flushed = False
        ((last,),) = self._connection.execute("select coalesce(max(seq), 0) from feed")
        ((trimmed,),) = self._connection.execute("select coalesce(min(seq) - 1, 0) from feed")
        self.last_seq: int = last
        self._trimmed_to: int = trimmed
        self.tail: deque[Record] = deque(maxlen=TAIL_RECORDS_MAX)

    # --- Storage ------------------------------------------------------------------------------

    def load(self, key: Key) -> Item | None:
        image = self._image(key)
        return image.item if image else None

    def prepare(self, key: Key, item: Item | None) -> Image:  # noqa: ARG002  # the protocol's signature
        return prepare_image(item)

    def store(self, key: Key, change: Image, old: Item | None) -> None:
        self._cache[key] = change
        self._items[key] = change.body if change.item is not None else None
        for index in self._indexes[key.table]:
            before = _index_entry(index, key, old)
            after = _index_entry(index, key, change.item)
            if before != after:
                first, _ = self._index_moves.get((index.name, key), (before, None))
                self._index_moves[index.name, key] = (first, after)
        if key.table in self._streamed:
            self.last_seq += 1
            self._records.append(Record(self.last_seq, key, change.body if change.item is not None else None))

    # --- reads --------------------------------------------------------------------------------

    def body(self, key: Key) -> bytes | None:
        image = self._image(key)
        return image.body if image and image.item is not None else None

    def page(self, query: Query) -> tuple[list[bytes], str | None]:
        """Encoded items and the next cursor. Sees what is staged."""
        self._flush()
        position = decode_cursor(query)
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
        first = self.tail[0].seq if self.tail else self.last_seq + 1
        if seq + 1 >= first:
            start = seq + 1 - first
            return [self.tail[place] for place in range(start, min(start + limit, len(self.tail)))]
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
        """Changes that somebody waits for. Positions and settled messages can wait for a later group."""
        return bool(self._items or self._messages or self._records)

    def commit(self, at_ms: int) -> list[Record]:
        """Makes everything staged durable with one sync; the records are now on the feed."""
        try:
            self._flush(at_ms)
            if self._connection.in_transaction:
                self._connection.execute("commit")
        except sqlite3.Error:
            self.forget()
            raise
        self._flushed = False
        records, self._records = self._records, []
        self.tail.extend(records)
        if len(self._cache) > CACHE_ITEMS_MAX:
            for key in list(self._cache)[: CACHE_ITEMS_MAX // 2]:
                del self._cache[key]
        return records

    def forget(self) -> None:
        """After a failed commit: back to what the file says."""
        if self._connection.in_transaction:
            self._connection.execute("rollback")
        self._cache.clear()
        self._items.clear()
        self._index_moves.clear()
        self.last_seq -= len(self._records)
        self._records.clear()
        self._messages.clear()
        self._flushed = False

    def trim(self, settled_to: int, older_than_ms: int) -> None:
        """Drops a bounded number of feed records that every consumer settled and that are old or too many."""
        first = self._trimmed_to + 1
        through = min(settled_to, self._trimmed_to + TRIM_RECORDS, self.last_seq)
        crowded = self.last_seq - first >= FEED_RECORDS_MAX
        row = self._connection.execute("select at from feed where seq = ?", (through,)).fetchone()
        if row and (crowded or row[0] < older_than_ms):
            self._begin()
            self._connection.execute("delete from feed where seq <= ?", (through,))
            self._trimmed_to = through

    def close(self) -> None:
        self._connection.close()

    def _image(self, key: Key) -> Image | None:
        image = self._cache.get(key)
        if image is None:
            row = self._connection.execute("select body from items where tbl=? and pk=? and sk=?", (*_parts(key),))
            found = row.fetchone()
            if found is None:
                return None
            image = Image(msgspec.msgpack.decode(found[0]), found[0], len(found[0]))
            self._cache[key] = image
        return image

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

    def _flush(self, at_ms: int = 0) -> None:
        """Hands what is staged to SQLite, inside the open transaction."""
        run = self._connection.executemany
        if self._items:
            self._begin()
            gone = [_parts(key) for key, body in self._items.items() if body is None]
            here = [(*_parts(key), body) for key, body in self._items.items() if body is not None]
            run("insert or replace into items values(?, ?, ?, ?)", here)
            if gone:
                run("delete from items where tbl=? and pk=? and sk=?", gone)
            for key, body in self._items.items():
                if body is None:
                    self._cache.pop(key, None)
            self._items.clear()
        if self._index_moves:
            moves = self._index_moves.values()
            left = [before for before, _ in moves if before]
            run("delete from idx where tbl=? and name=? and h=? and r=? and pk=? and sk=?", left)
            run("insert or replace into idx values(?, ?, ?, ?, ?, ?)", [after for _, after in moves if after])
            self._index_moves.clear()
        if at_ms:
            self._flush_lazy(at_ms)

    def _flush_lazy(self, at_ms: int) -> None:
        """What only a commit needs: the feed, messages and positions."""
        run = self._connection.executemany
        if not (self._records or self._messages or self._settled or self._positions):
            return
        self._begin()
        run(
            "insert into feed values(?, ?, ?, ?, ?, ?)", [(r.seq, at_ms, *_parts(r.key), r.body) for r in self._records]
        )
        run(
            "insert or replace into messages values(?, ?, ?, ?)",
            [(m.number, m.queue, m.body, m.group) for m in self._messages],
        )
        run("delete from messages where number=?", [(number,) for number in self._settled])
        run("insert or replace into positions values(?, ?)", list(self._positions.items()))
        self._messages.clear()
        self._settled.clear()
        self._positions.clear()


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
        connection.execute("pragma wal_autocheckpoint=4000")
        connection.execute("pragma cache_size=-65536")
        ((version,),) = connection.execute("pragma user_version")
        if version not in (0, SCHEMA_VERSION):
            raise Fatal(
                f"{path} was written by another version of Penstock (layout {version}): use another data folder"
            )
        connection.executescript(_SCHEMA)
        connection.execute(f"pragma user_version={SCHEMA_VERSION}")
    except sqlite3.Error as error:
        raise Fatal(
            f"the data file {path} cannot be opened ({error}): check the folder's rights and free space"
        ) from error
    return connection
