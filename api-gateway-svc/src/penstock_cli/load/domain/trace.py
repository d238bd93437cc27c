"""Reads a trace: the CSV in which somebody wrote down the runs of a system, one in a line."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import StringIO
from typing import TypeVar

from penstock_backbone.words import counted

RUNS_MAX = 2000
DURATION_SECONDS_MAX = 7 * 24 * 3600.0
ARRIVAL_SECONDS_MAX = 10 * 366 * 24 * 3600.0
AMOUNT_MAX = 10**12
"""Of tokens and calls; of a cost in dollars a millionth of it."""
NAME_CHARS_MAX = 200
PRIORITY_MIN, PRIORITY_MAX, PRIORITY_DEFAULT = 1, 5, 3
TENANT_DEFAULT = "default"
TENANT_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
SHOWN_CHARS_MAX = 40

DURATION = "duration_s"
ARRIVALS = ("arrival_s", "arrived_at", "started_at", "finished_at")
"""The first of them that the header has says when a run arrived."""
AMOUNTS = ("input_tokens", "output_tokens", "tool_calls")
COST = "cost_usd"
COLUMNS = (DURATION, *ARRIVALS, "name", "tenant", "priority", "stages", *AMOUNTS, COST)


class UnusableTrace(Exception):
    """What is wrong, from the line on: `line 7, column duration_s: 'abc' is not a number.`"""


@dataclass(frozen=True, slots=True)
class TracedRun:
    """`arrival_s` counts from the first run's. `usage` holds only what was measured, with cost in micro-dollars."""

    name: str
    arrival_s: float
    duration_s: float
    stages: int
    tenant: str
    priority: int
    usage: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Trace:
    """`runs` in the order of their arrival; `ignored` are the columns that mean nothing here."""

    runs: tuple[TracedRun, ...]
    ignored: tuple[str, ...]


def parse(text: str, stages_max: int) -> Trace:
    """Raises UnusableTrace at the first mistake. Lines without any cell are passed over."""
    rows = _rows(text)
    first = next(rows, None)
    if first is None:
        raise UnusableTrace("it is empty: the first line names the columns, and each further line is a run.")
    header = [cell.strip().lower() for cell in first[1]]
    arrival = _arrival_column(header)
    runs: list[TracedRun] = []
    for line, cells in rows:
        if len(cells) != len(header):
            raise UnusableTrace(f"line {line} has {counted(len(cells), 'cell')}, and the header has {len(header)}.")
        if len(runs) == RUNS_MAX:
            raise UnusableTrace(f"it has more than {RUNS_MAX:,} runs: replay a part of it.")
        row = {column: _Cell(line, column, cell.strip()) for column, cell in zip(header, cells, strict=True)}
        runs.append(_run(line, row, arrival, stages_max))
    if not runs:
        raise UnusableTrace("it has a header and no run: each further line is a run.")
    origin = min(run.arrival_s for run in runs)
    if max(run.arrival_s for run in runs) - origin > ARRIVAL_SECONDS_MAX:
        raise UnusableTrace("more than ten years lie between its first and its last run: is a time mistyped?")
    moved = (replace(run, arrival_s=run.arrival_s - origin) for run in runs)
    ignored = tuple(column for column in header if column not in COLUMNS)
    return Trace(tuple(sorted(moved, key=lambda run: run.arrival_s)), ignored)


@dataclass(frozen=True, slots=True)
class _Cell:
    line: int
    column: str
    text: str

    def wrong(self, why: str) -> UnusableTrace:
        shown = self.text if len(self.text) <= SHOWN_CHARS_MAX else self.text[:SHOWN_CHARS_MAX] + "…"
        said = f"{shown!r} {why}" if self.text else "it is empty"
        return UnusableTrace(f"line {self.line}, column {self.column}: {said}.")

    def number(self, most: float, unit: str) -> float:
        try:
            value = float(self.text)
        except ValueError:
            raise self.wrong("is not a number") from None
        if not math.isfinite(value):
            raise self.wrong("is not a number")
        if value < 0:
            raise self.wrong("is negative")
        if value > most:
            raise self.wrong(f"is more than {most:,.0f} {unit}")
        return value

    def whole(self, most: float, unit: str) -> int:
        value = self.number(most, unit)
        if not value.is_integer():
            raise self.wrong("is not a whole number")
        return int(value)

    def moment(self) -> float:
        """Seconds since 1970; a time without a zone is UTC."""
        try:
            moment = datetime.fromisoformat(self.text)
        except ValueError:
            raise self.wrong("is not a time as 2026-01-31 14:05:00") from None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


Row = Mapping[str, _Cell]
Value = TypeVar("Value", str, int)


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of each line that has any. The number is that of the last line, where a cell has several."""
    reader = csv.reader(StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise UnusableTrace(f"line {reader.line_num} cannot be read as CSV: {error}.") from None


def _arrival_column(header: list[str]) -> str:
    for column in COLUMNS:
        if header.count(column) > 1:
            raise UnusableTrace(f"line 1 names the column {column} twice.")
    if DURATION not in header:
        raise UnusableTrace(f"it has no column {DURATION}: line 1 must name it.")
    for column in ARRIVALS:
        if column in header:
            return column
    raise UnusableTrace(f"it does not say when runs arrived: line 1 must name one of {', '.join(ARRIVALS)}.")


def _run(line: int, row: Row, arrival: str, stages_max: int) -> TracedRun:
    duration = row[DURATION].number(DURATION_SECONDS_MAX, "seconds")
    if duration == 0:
        raise row[DURATION].wrong("is no duration: a run takes time")
    return TracedRun(
        name=_optional(row, "name", _name) or f"line {line}",
        arrival_s=_arrival(row[arrival], duration),
        duration_s=duration,
        stages=_optional(row, "stages", lambda cell: _stages(cell, stages_max)) or 1,
        tenant=_optional(row, "tenant", _tenant) or TENANT_DEFAULT,
        priority=_optional(row, "priority", _priority) or PRIORITY_DEFAULT,
        usage=_usage(row),
    )


def _optional(row: Row, column: str, read: Callable[[_Cell], Value]) -> Value | None:
    cell = row.get(column)
    return read(cell) if cell is not None and cell.text else None


def _arrival(cell: _Cell, duration: float) -> float:
    match cell.column:
        case "arrival_s":
            return cell.number(ARRIVAL_SECONDS_MAX, "seconds")
        case "finished_at":
            return cell.moment() - duration
        case _:
            return cell.moment()


def _name(cell: _Cell) -> str:
    if not cell.text.isprintable() or len(cell.text) > NAME_CHARS_MAX:
        raise cell.wrong(f"cannot be a name: up to {NAME_CHARS_MAX} characters that can be printed")
    return cell.text


def _tenant(cell: _Cell) -> str:
    if not TENANT_NAME.fullmatch(cell.text):
        raise cell.wrong("cannot be a tenant: 1 to 40 lower-case letters, digits and dashes, not a dash first")
    return cell.text


def _priority(cell: _Cell) -> int:
    value = cell.whole(PRIORITY_MAX, f"(priorities are {PRIORITY_MIN} to {PRIORITY_MAX})")
    if value < PRIORITY_MIN:
        raise cell.wrong(f"is no priority: they are {PRIORITY_MIN} to {PRIORITY_MAX}")
    return value


def _stages(cell: _Cell, most: int) -> int:
    """A number, or finished and planned ones as "9/9": the finished ones took the time."""
    finished = replace(cell, text=cell.text.split("/")[0].strip())
    value = finished.whole(most, "stages")
    if value < 1:
        raise cell.wrong("is no number of stages: a run has one at least")
    return value


def _usage(row: Row) -> dict[str, int]:
    usage = {column: row[column].whole(AMOUNT_MAX, "") for column in AMOUNTS if column in row and row[column].text}
    if COST in row and row[COST].text:
        usage["cost_microusd"] = round(row[COST].number(AMOUNT_MAX / 1e6, "dollars") * 1e6)
    return usage
