"""A bounded span store in one SQLite file, so that traces can be seen on one machine without any other program.

Several processes write it at once and any may read it. It is disposable: it trades durability for speed, and a
span that cannot be written (full disk, damaged file, lock held too long) is counted and dropped.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

SPANS_MAX = 200_000
EVICTED_SPANS_MIN = 2_000
"""Making room is done for many spans at once, so that not every batch pays for it."""
TRACE_SPANS_MAX = 5_000
BUSY_SECONDS = 2.0
JOURNAL_BYTES_MAX = 16 * 1024 * 1024
WRITE_ATTEMPTS_MAX = 3
"""Two processes that create the file at the same moment may find it locked despite the busy timeout."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spans(id INTEGER PRIMARY KEY, trace_id TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS spans_by_trace ON spans(trace_id);
"""
# One statement for the whole batch: executemany would give up and retake the interpreter lock for each row.
_INSERT = "INSERT INTO spans(trace_id, body) SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?)"
_EVICT = "DELETE FROM spans WHERE trace_id IN (SELECT trace_id FROM spans ORDER BY id LIMIT ?)"
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_log = logging.getLogger(__name__)

StoredSpan = tuple[str, dict[str, Any]]
"""A trace id in hex, and the span as SpanStore.trace returns it."""


class SpanStore:
    """Written by one thread of each process (write keeps its connection); trace may be called from any thread."""

    def __init__(self, path: Path, spans_max: int = SPANS_MAX) -> None:
        self._path = path
        self._spans_max = spans_max
        self._connection: sqlite3.Connection | None = None
        self.dropped = 0

    def write(self, spans: Sequence[StoredSpan]) -> None:
        """Never raises: what cannot be written is counted in `dropped`."""
        batch = msgspec.json.encode(spans).decode()
        for attempt in range(1, WRITE_ATTEMPTS_MAX + 1):
            try:
                self._insert(batch)
            except (sqlite3.Error, OSError) as error:
                self._recover(error)
                if attempt == WRITE_ATTEMPTS_MAX:
                    if not self.dropped:
                        _log.warning("Traces are incomplete: %s cannot be written (%s).", self._path, error)
                    self.dropped += len(spans)
            else:
                return

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None

    def trace(self, trace_id: str) -> list[dict[str, Any]]:
        """The spans of one trace, oldest start first: name, service, span_id, parent_id, start_ms, duration_ms,
        status (unset | ok | error), error, attributes. At most TRACE_SPANS_MAX; [] when nothing is known."""
        if not self._path.exists():
            return []
        query = "SELECT body FROM spans WHERE trace_id = ? ORDER BY id LIMIT ?"
        try:
            with contextlib.closing(sqlite3.connect(self._path, timeout=BUSY_SECONDS)) as connection:
                rows = connection.execute(query, (trace_id, TRACE_SPANS_MAX)).fetchall()
        except sqlite3.Error as error:
            _log.warning("Traces cannot be read from %s (%s).", self._path, error)
            return []
        spans: list[dict[str, Any]] = [msgspec.json.decode(body) for (body,) in rows]
        return sorted(spans, key=lambda span: span["start_ms"])

    def _insert(self, batch: str) -> None:
        connection = self._connection or self._open()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_INSERT, (batch,))
        oldest, newest = connection.execute(
            "SELECT (SELECT min(id) FROM spans), (SELECT max(id) FROM spans)"
        ).fetchone()
        # Whole traces leave gaps between the ids, so their spread is never less than the number of spans.
        excess = newest - oldest + 1 - self._spans_max
        if excess > 0:
            connection.execute(_EVICT, (excess + min(EVICTED_SPANS_MIN, self._spans_max // 10),))
        connection.execute("COMMIT")

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        self._connection = connection
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(f"PRAGMA journal_size_limit={JOURNAL_BYTES_MAX}")
        connection.executescript(_SCHEMA)
        return connection

    def _recover(self, error: Exception) -> None:
        """The next write opens the file again; a damaged one is thrown away, because losing old traces costs nobody."""
        self.close()
        if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", None) in _DAMAGED:
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(OSError):
                    self._path.with_name(self._path.name + suffix).unlink()
