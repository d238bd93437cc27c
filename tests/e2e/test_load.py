"""`penstock load` replays a trace through real processes, says what became of it, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.product import CLOCK, LOOK_SECONDS, STOP_SECONDS_MAX, WAIT_SECONDS_MAX

pytestmark = pytest.mark.anyio

TRACE = """name,tenant,arrival_s,duration_s,stages,priority,input_tokens,cost_usd
one,acme,0,300,3,3,1000,0.5
two,acme,0,300,2,3,1001,0.25
three,acme,10,200,1,3,1002,
four,zeta,10,300,2,3,,
five,acme,20,200,1,3,,
six,zeta,300,250,3,3,,
seven,acme,700,200,1,3,,
eight,zeta,1400,200,9,3,7,0.000001
"""


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Short, because a socket's path must be."""
    with tempfile.TemporaryDirectory(prefix="load") as folder:
        yield Path(folder)


async def begin(scratch: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "penstock_cli.main", "load", *arguments,
        env={**os.environ, "TMPDIR": str(scratch), "COLUMNS": "80"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def ended(process: asyncio.subprocess.Process) -> tuple[str, str]:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        said, complained = await process.communicate()
    return said.decode(), complained.decode()


def names(folder: Path, pattern: str = "*") -> list[str]:
    return sorted(path.name for path in folder.glob(pattern))


async def test_eight_runs_of_two_tenants_are_replayed_and_reported(scratch: Path) -> None:
    trace, figures = scratch / "trace.csv", scratch / "figures.json"
    trace.write_text(TRACE)
    process = await begin(scratch, "--trace", str(trace), "--speed", "1000", "--limit", "2", "--json", str(figures))
    said, complained = await ended(process)
    assert (process.returncode, complained) == (0, "")
    assert "8 succeeded, 0 failed" in said
    assert "over the ideal" in said
    found = json.loads(figures.read_text())
    assert (found["runs"], found["succeeded"], found["limit"], found["speed"]) == (8, 8, 2, 1000)
    assert found["ideal_makespan_s"] == pytest.approx(1.6)
    assert found["ideal_makespan_s"] <= found["makespan_s"]
    assert found["overhead_p50_s"] >= 0
    assert 0 < found["used_of_wanted_pct"] <= 100
    assert found["wait_max_s"] >= 0.25, "two slots cannot take five runs at once"
    assert (found["tenant/acme/runs"], found["tenant/zeta/runs"]) == (5, 3)
    assert (found["input_tokens"], found["cost_microusd"]) == (3010, 750_001)
    assert names(scratch) == ["figures.json", "trace.csv"]


async def test_a_bad_trace_starts_nothing(scratch: Path) -> None:
    trace = scratch / "trace.csv"
    trace.write_text(TRACE.replace("0,300,3,", "0,long,3,"))
    process = await begin(scratch, "--trace", str(trace))
    assert await ended(process) == (
        "",
        f"penstock: The trace {trace} cannot be used: line 2, column duration_s: 'long' is not a number.\n",
    )
    assert process.returncode == 1
    assert names(scratch) == ["trace.csv"]


async def test_a_replay_that_would_take_days_starts_nothing(scratch: Path) -> None:
    trace = scratch / "trace.csv"
    trace.write_text(TRACE.replace("1400", "34000"))
    process = await begin(scratch, "--trace", str(trace), "--speed", "1")
    said, complained = await ended(process)
    assert (said, process.returncode) == ("", 1)
    assert complained == (
        "penstock: This replay would take 9 h 30 min, and six hours are the most: choose --speed 2 or more, or draw the arrivals "
        "together with --busy 90.\n"
    )


async def test_ctrl_c_ends_a_replay_clean(scratch: Path) -> None:
    trace = scratch / "trace.csv"
    trace.write_text(TRACE)
    process = await begin(scratch, "--trace", str(trace), "--speed", "1")
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not names(scratch, "penstock-load-*/*.sock"):
            await CLOCK.sleep(LOOK_SECONDS)
    began = CLOCK.monotonic()
    process.send_signal(signal.SIGINT)
    _, complained = await ended(process)
    assert (process.returncode, complained) == (130, "")
    assert CLOCK.monotonic() - began < STOP_SECONDS_MAX
    assert names(scratch) == ["trace.csv"]
