"""The benchmark's bars can be missed, and it says so."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from tests.bench import __main__ as bench
from tests.bench.bars import BARS, Bar, missed


@pytest.mark.parametrize(
    ("bar", "good", "bad"),
    [
        (Bar(least=10), (10, 11), (9.999, math.nan)),
        (Bar(most=1.1), (1.1, 0), (1.101, math.nan)),
        (Bar(most=5, open_ended=True), (4.999,), (5, math.nan)),
    ],
)
def test_a_bar_is_missed_on_its_wrong_side_only(bar: Bar, good: tuple[float, ...], bad: tuple[float, ...]) -> None:
    assert [bar.is_missed_by(value) for value in good] == [False] * len(good)
    assert [bar.is_missed_by(value) for value in bad] == [True] * len(bad)


def test_what_has_no_bar_is_never_missed() -> None:
    assert missed({"w3_ratio": 99.0, "decide_per_s": 20_000.0}) == []
    assert missed({"w3_ratio": 99.0, "decide_per_s": 9_000.0}) == ["decide_per_s"]


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two workloads that take no time, and yesterday's file."""
    file = tmp_path / "build" / "bench.json"
    file.parent.mkdir()
    file.write_text('{"gone": 1.0, "w3_ratio": 2.0}')
    monkeypatch.setattr(bench, "OUTPUT", file)
    monkeypatch.setattr(bench, "WORKLOADS", {"decide": lambda: {"decide_per_s": 5.0}, "w3": lambda: {"w3_ratio": 1.1}})
    return file


@pytest.mark.parametrize(
    ("arguments", "code", "figures"),
    [
        ([], 1, {"decide_per_s": 5.0, "w3_ratio": 1.1}),
        (["decide"], 1, {"decide_per_s": 5.0, "gone": 1.0, "w3_ratio": 2.0}),
        (["w3"], 0, {"gone": 1.0, "w3_ratio": 1.1}),
    ],
)
def test_a_missed_bar_ends_with_1_and_only_named_workloads_keep_what_an_earlier_run_wrote(
    output: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    figures: dict[str, float],
) -> None:
    monkeypatch.setattr("sys.argv", ["bench", *arguments])
    assert bench.main() == code
    assert json.loads(output.read_text()) == figures
    said = capsys.readouterr()
    assert ("MISSED" in said.out) == ("decide_per_s is 5.000 and must be at least 10,000" in said.err) == (code == 1)


def test_every_bar_is_of_a_figure_that_some_workload_has() -> None:
    code = "".join(file.read_text() for file in Path(bench.__file__).parent.glob("*.py") if file.name != "bars.py")
    assert [key for key in BARS if f'"{key}":' not in code] == []
