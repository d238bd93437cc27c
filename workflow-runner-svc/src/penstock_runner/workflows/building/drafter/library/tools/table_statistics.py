"""Describes the number columns of a table, and adds them up by the words beside them."""

from __future__ import annotations

import csv
import io
import statistics
from dataclasses import dataclass

from .desk import Desk, ToolError
from .text import in_language_of

WORDS = (
    "csv", "tables", "statistic", "dataset", "data analy", "chart", "average", "excel", "spreadsheet", "stock", "trend", "metric",
    "sales", "表格", "统计", "数据分析", "平均", "报表", "股票", "股价", "趋势", "指标", "销售", "财务", "图表", "データ", "統計",
    "estadístic", "statisti", "tabell",
)  # fmt: skip
EXAMPLES = (
    "Statistics for this CSV:\ncity,visitors\nBern,120\nBasel,80",
    "统计这个表格：\n城市,访客\n上海,120\n北京,80",
)

NUMBER_MAX = 1e100
ROWS_MAX = 100_000
COLUMNS_MAX = 200
GROUPS_MAX, GROUP_COLUMNS_MAX = 20, 3


@dataclass(frozen=True, slots=True)
class Column:
    """`change` is the last value minus the first: the direction of a series."""

    name: str
    count: int
    minimum: float
    maximum: float
    mean: float
    median: float
    change: float


def number(text: str) -> float | None:
    """A number with thousands separators, percent or currency signs, else None; what is beyond NUMBER_MAX is none."""
    plain = text.strip().strip("$€£¥￥%").replace(",", "").replace("，", "")
    try:
        value = float(plain)
    except ValueError:
        return None
    return value if abs(value) <= NUMBER_MAX else None


def describe(text: str) -> list[Column]:
    """One entry a column that has numbers, in the order of the table; the first row names the columns."""
    header, rows = _table(text)
    columns = []
    for index, name in enumerate(header):
        values = [value for row in rows if (value := _value(row, index)) is not None]
        if values:
            columns.append(
                Column(
                    name, len(values), min(values), max(values), statistics.fmean(values),
                    statistics.median(values), values[-1] - values[0],
                )
            )  # fmt: skip
    return columns


def totals(text: str) -> dict[tuple[str, str], dict[str, float]]:
    """For (number column, column of words that come again): the sum for each word, the largest first."""
    header, rows = _table(text)
    groups = []
    for index in range(len(header)):
        cells = [row[index].strip() for row in rows if index < len(row)]
        if 1 < len(set(cells)) <= min(GROUPS_MAX, len(cells) - 1) and all(number(cell) is None for cell in cells):
            groups.append(index)
    found = {}
    for index, name in enumerate(header):
        for group in groups[:GROUP_COLUMNS_MAX]:
            sums: dict[str, float] = {}
            for row in rows:
                if (value := _value(row, index)) is not None and group < len(row):
                    word = row[group].strip()
                    sums[word] = sums.get(word, 0.0) + value
            if sums:
                found[name, header[group]] = dict(sorted(sums.items(), key=lambda item: -item[1]))
    return found


def _table(text: str) -> tuple[list[str], list[list[str]]]:
    reader = csv.reader(io.StringIO(text.strip()))
    try:
        header = [name.strip() for name in next(reader, [])[:COLUMNS_MAX]]
        return header, [row for row, _ in zip(reader, range(ROWS_MAX), strict=False)]
    except csv.Error as error:
        raise ToolError("This is not a readable table. Give comma-separated rows with a header.") from error


def _value(row: list[str], index: int) -> float | None:
    return number(row[index]) if index < len(row) else None


def _material(request: str, desk: Desk) -> str:
    """All of the request when it begins with a table's head and a row of its numbers: then its first line is no order."""
    lines = [line.split(",") for line in request.strip().splitlines()[:2]]
    begins = (
        len(lines) == 2 and 1 < len(lines[0]) == len(lines[1]) and any(number(cell) is not None for cell in lines[1])
    )
    return request if begins and not desk.files else desk.material(request, WORDS)


def answer(request: str, desk: Desk) -> str:
    text = _material(request, desk)
    columns = describe(text)
    if not columns:
        raise ToolError("No column of numbers was found. Give comma-separated rows with a header, or a .csv file.")
    lines = [
        f"{column.name}: n={column.count} min={column.minimum:g} max={column.maximum:g} "
        f"mean={column.mean:g} median={column.median:g} change={column.change:+g}"
        for column in columns
    ]
    by = in_language_of(request, "{} by {}: ", "{}（按{}合计）：")
    for (name, group), sums in totals(text).items():
        lines.append(by.format(name, group) + ", ".join(f"{word} {value:g}" for word, value in sums.items()))
    return "\n".join([in_language_of(request, "Columns:", "各列："), *lines])
