"""Describes the number columns of a table."""

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
    reader = csv.reader(io.StringIO(text.strip()))
    try:
        header = next(reader, [])[:COLUMNS_MAX]
        rows = [row for row, _ in zip(reader, range(ROWS_MAX), strict=False)]
    except csv.Error as error:
        raise ToolError("This is not a readable table. Give comma-separated rows with a header.") from error
    columns = []
    for index, name in enumerate(header):
        cells = (number(row[index]) for row in rows if index < len(row))
        values = [value for value in cells if value is not None]
        if values:
            columns.append(
                Column(
                    name.strip(), len(values), min(values), max(values), statistics.fmean(values),
                    statistics.median(values), values[-1] - values[0],
                )
            )  # fmt: skip
    return columns


def answer(request: str, desk: Desk) -> str:
    columns = describe(desk.material(request))
    if not columns:
        raise ToolError("No column of numbers was found. Give comma-separated rows with a header, or a .csv file.")
    lines = [
        f"{column.name}: n={column.count} min={column.minimum:g} max={column.maximum:g} "
        f"mean={column.mean:g} median={column.median:g} change={column.change:+g}"
        for column in columns
    ]
    return "\n".join([in_language_of(request, "Columns:", "各列："), *lines])
