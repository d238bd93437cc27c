"""The workloads, each on a machine of its own; every figure's definition stands with its function."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.admission import admitting, deciding, handing_over
from tests.bench.admission_cost import costing
from tests.bench.calibration import calibrating
from tests.bench.client import Connection
from tests.bench.fairness import sharing
from tests.bench.figures import STAGE_SECONDS, STAGES
from tests.bench.floor import floor_seconds
from tests.bench.machine import Machine

from penstock_backbone.embedded.engine import EmbeddedEngine
from penstock_backbone.system import SystemClock

CLIENTS = 8
DRAIN_SECONDS_MAX = 180.0
WARM_RUNS = 20
REQUIREMENT = "A run that only measures how fast the machinery around it is."

Figures = dict[str, float]


def burst(runs: int = 1000, limit: int = 50) -> Figures:
    """Accepting and draining `runs` no-op runs of seven stages: W1.

    w1_accept_per_s: POSTs by 8 clients while everything else works. w1_stages_per_s: from the first
    POST until the API reports the last run completed. w1_cpu_ms_per_run: all processes of the product.
    port_calls_per_run: requests to the store from all of them, long polls included.
    """
    with _machine(limit) as machine:
        asyncio.run(_warm(machine))
        cpu, calls = machine.cpu_seconds(), asyncio.run(_store_requests(machine))
        _, started, accepted, ended = asyncio.run(_submit_and_drain(machine, "bench_noop", runs))
        used = {role: seconds - cpu.get(role, 0.0) for role, seconds in machine.cpu_seconds().items()}
        calls_after = asyncio.run(_store_requests(machine))
    figures = {
        "w1_accept_per_s": runs / (accepted - started),
        "w1_stages_per_s": runs * STAGES / (ended - started),
        "w1_cpu_ms_per_run": sum(used.values()) * 1e3 / runs,
        "port_calls_per_run": (calls_after - calls) / runs,
    }
    return figures | {f"w1_cpu_ms_per_run_{role}": seconds * 1e3 / runs for role, seconds in sorted(used.items())}


def accepting(posts: int = 2000) -> Figures:
    """POSTs by 8 clients while the line grows and only one slow run executes: what the front takes."""
    with _machine(limit=1) as machine:
        latencies, started, accepted = asyncio.run(_submit(machine, "bench_20ms", posts))
    return {"accept_per_s": posts / (accepted - started), "accept_p99_ms": _percentile(latencies, 99) * 1e3}


def idle(times: int = 50, limit: int = 5) -> Figures:
    """Milliseconds from before the POST to the start of the first stage, one run at a time: W2."""
    with _machine(limit) as machine:
        asyncio.run(_warm(machine))
        submitted = asyncio.run(_one_by_one(machine, times))
        starts = {run: at for at, kind, run, stage in machine.noted() if kind == "S" and stage == 0}
    waits = [(starts[run] - at) / 1e6 for run, at in submitted.items()]
    return {"w2_first_stage_p50_ms": statistics.median(waits), "w2_first_stage_p99_ms": _percentile(waits, 99)}


def bounded(runs: int = 200, limit: int = 5) -> Figures:
    """Runs of 7 × 20 ms at limit 5, from the first POST to the last stage's end, over the ideal: W3.

    And where the rest goes: how long a stage of 20 ms takes, from its end to the run's next stage (one commit),
    and from a run's end to the start of the run that gets its slot. w3_floor: the ratio of three processes that do
    nothing except the syncs that durability asks for.
    """
    with _machine(limit) as machine:
        asyncio.run(_warm(machine))
        warm = len(machine.noted())
        _, started, _, _ = asyncio.run(_submit_and_drain(machine, "bench_20ms", runs))
        notes = machine.noted()[warm:]
    ideal = runs * STAGES * STAGE_SECONDS / limit
    return {
        "w3_ratio": (notes[-1][0] / 1e9 - started) / ideal,
        "w3_floor": floor_seconds(runs, limit) / ideal,
        "w3_stage_p50_ms": _median_ms(_spells(notes, "S", "E", lambda stage: stage)),
        "w3_next_stage_p50_ms": _median_ms(_spells(notes, "E", "S", lambda stage: stage + 1)),
        "w3_next_run_p50_ms": _median_ms(_handovers(notes)),
    }


WORKLOADS: dict[str, Callable[[], Figures]] = {
    "w1": burst, "accept": accepting, "w2": idle, "w3": bounded,
    "decide": deciding, "cost": costing, "fair": sharing, "admit": admitting, "handover": handing_over,
    "estimate": calibrating,
}  # fmt: skip


# --- driving ------------------------------------------------------------------------------------


@contextmanager
def _machine(limit: int) -> Iterator[Machine]:
    """A Machine in a temporary folder that goes with it."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder, Machine(Path(folder), limit) as machine:
        yield machine


async def _submit(machine: Machine, workflow: str, runs: int) -> tuple[list[float], float, float]:
    """Latencies in seconds, and the monotonic seconds of the first POST and the last answer."""
    left = iter(range(runs))
    latencies: list[float] = []

    async def client() -> None:
        connection = Connection(machine.port)
        for number in left:
            at = time.perf_counter()
            await _post(connection, workflow, number)
            latencies.append(time.perf_counter() - at)
        connection.close()

    started = time.monotonic()  # noqa: TID251  # this is the measurement
    await asyncio.gather(*[client() for _ in range(CLIENTS)])
    return latencies, started, time.monotonic()  # noqa: TID251  # this is the measurement


async def _submit_and_drain(machine: Machine, workflow: str, runs: int) -> tuple[list[float], float, float, float]:
    before = _ended(machine)
    latencies, started, accepted = await _submit(machine, workflow, runs)
    await _until(lambda: _async(_ended(machine) - before >= runs))
    connection = Connection(machine.port)

    async def all_completed() -> bool:
        _, board = await connection.request("GET", "/v1/board")
        return bool(board["waiting"] == 0 and board["held"] == 0)

    await _until(all_completed)
    ended = time.monotonic()  # noqa: TID251  # this is the measurement
    connection.close()
    return latencies, started, accepted, ended


async def _one_by_one(machine: Machine, times: int) -> dict[str, int]:
    """Run id → monotonic ns before its POST."""
    connection = Connection(machine.port)
    submitted = {}
    for number in range(times):
        at = time.monotonic_ns()
        project = await _post(connection, "bench_noop", number)
        submitted[project["run_id"]] = at
        await asyncio.sleep(0.1)  # noqa: TID251  # until this run is over
    connection.close()
    return submitted


async def _warm(machine: Machine) -> None:
    await _submit_and_drain(machine, "bench_noop", WARM_RUNS)
    await asyncio.sleep(1)  # noqa: TID251  # until the boards and positions are written


async def _post(connection: Connection, workflow: str, number: int) -> Any:
    body = {"requirement": REQUIREMENT, "name": f"bench {number}", "workflow": workflow}
    status, project = await connection.request("POST", "/v1/projects", body)
    if status != 201:
        message = f"a POST was answered with {status}: {project}"
        raise RuntimeError(message)
    return project


async def _store_requests(machine: Machine) -> int:
    """Requests the store has answered since it started."""
    engine = EmbeddedEngine(machine.data / "store.sock", machine.data / "artifacts", SystemClock())
    try:
        return await engine.requests_served()
    finally:
        await engine.close()


def _ended(machine: Machine) -> int:
    """Runs whose last stage has ended: counted in the trace, which costs the product nothing."""
    last = f" {STAGES - 1}"
    text = machine.trace.read_text()
    return sum(1 for line in text.splitlines() if " E " in line and line.endswith(last))


async def _async(value: bool) -> bool:  # noqa: FBT001  # a value, not a switch
    return value


async def _until(done: Callable[[], Awaitable[bool]]) -> None:
    end = time.monotonic() + DRAIN_SECONDS_MAX  # noqa: TID251  # a real limit for real processes
    while not await done():
        if time.monotonic() > end:  # noqa: TID251  # a real clock for real processes
            message = f"the runs were not drained within {DRAIN_SECONDS_MAX:.0f} s"
            raise RuntimeError(message)
        await asyncio.sleep(0.02)  # noqa: TID251  # a real clock for real processes


Notes = list[tuple[int, str, str, int]]


def _spells(notes: Notes, begin: str, end: str, stage_at_end: Callable[[int], int]) -> list[int]:
    """Nanoseconds from each `begin` to the `end` of the same run that belongs to it."""
    open_since: dict[tuple[str, int], int] = {}
    spells = []
    for at, kind, run, stage in notes:
        if kind == end and (run, stage) in open_since:
            spells.append(at - open_since.pop((run, stage)))
        if kind == begin:
            open_since[run, stage_at_end(stage)] = at
    return spells


def _handovers(notes: Notes) -> list[int]:
    """Nanoseconds from a run's last stage to the next first stage, first freed first taken."""
    freed: list[int] = []
    waits = []
    for at, kind, _, stage in notes:
        if kind == "E" and stage == STAGES - 1:
            freed.append(at)
        elif kind == "S" and stage == 0 and freed:
            waits.append(at - freed.pop(0))
    return waits


def _median_ms(nanoseconds: list[int]) -> float:
    return statistics.median(nanoseconds) / 1e6


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
