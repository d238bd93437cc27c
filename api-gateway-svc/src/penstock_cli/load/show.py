"""Runs `penstock load`: reads the trace, starts everything in a folder of its own, replays, reports."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Console
from rich.live import Live
from rich.text import Text

from penstock_backbone.engines import EngineSettings
from penstock_backbone.system import SystemClock, SystemIds
from penstock_cli.asking import Asking
from penstock_cli.data_folder import owned
from penstock_cli.load.domain.course import Due, ideal, plan
from penstock_cli.load.domain.figures import Outcome, Settings, flat, in_words, report
from penstock_cli.load.files import OBSERVED, passing_folder, read_trace, require_writable, write_figures
from penstock_cli.load.replay import WARM_UP, Replay
from penstock_cli.load.table import introduction, show
from penstock_cli.machine import machine
from penstock_cli.preflight import free_port
from penstock_cli.programs import Wish
from penstock_cli.refusal import Refusal
from penstock_runner.handlers.runner import CAPACITY_DEFAULT
from penstock_runner.workflows import replay as workflows

HOST = "127.0.0.1"
OBSERVED_BUSY_PERCENT = 90
"""For the trace that ships: its builds came days apart, so that as they were nobody would ever wait."""
IDEAL_SECONDS_MAX = 6 * 3600.0
PATIENCE, PATIENCE_SECONDS, PATIENCE_RUN_SECONDS = 3.0, 60.0, 0.5
"""A replay is given up after so many times the ideal time, and so much more, and so much more for each run."""
FRAMES_PER_SECOND = 8


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says. `trace` None: the one that ships. `figures`: where they are written, if anywhere."""

    trace: Path | None
    speed: int
    limit: int
    busy_percent: int | None
    figures: Path | None


async def load(asked: Asked, hurry: asyncio.Event) -> int:
    """Exit code 0 when every run succeeded. Raises Refusal before anything is started when the trace cannot be used."""
    trace = read_trace(asked.trace or OBSERVED)
    busy = OBSERVED_BUSY_PERCENT if asked.trace is None and asked.busy_percent is None else asked.busy_percent
    settings = Settings((asked.trace or OBSERVED).name, asked.speed, asked.limit, busy)
    dues = plan(trace.runs, speed=settings.speed, slots=settings.slots, busy_percent=busy)
    seconds = max(course.ended_s for course in ideal(dues, settings.slots))
    _require_patience(seconds, settings.speed)
    if asked.figures is not None:
        require_writable(asked.figures)
    console = Console(highlight=False)
    console.print(introduction(settings, dues, seconds), soft_wrap=True, markup=False)
    if trace.ignored:
        console.print(f"Columns that mean nothing here: {', '.join(trace.ignored)}.", soft_wrap=True, markup=False)
    told = report(settings, dues, await _replay(dues, settings.slots, seconds, console, hurry))
    show(told, console)
    if asked.figures is not None:
        write_figures(asked.figures, flat(told))
    return 1 if told.outcome.errors else 0


async def _replay(
    dues: Sequence[Due], slots: int, ideal_seconds: float, console: Console, hurry: asyncio.Event
) -> Outcome:
    """On the embedded engine, never AWS, whatever else this shell is set up for."""
    clock, ids = SystemClock(), SystemIds()
    wish = Wish(
        HOST,
        free_port(HOST, 0),
        runners=-(-slots // CAPACITY_DEFAULT),
        limit=slots,
        workflows=workflows.__name__,
        drain_seconds=0,
    )
    patience = PATIENCE * ideal_seconds + PATIENCE_SECONDS + PATIENCE_RUN_SECONDS * len(dues)

    def note(line: str) -> None:
        console.print(line, style="yellow", soft_wrap=True, markup=False)

    with passing_folder() as path, owned(path) as folder:
        async with (
            machine(
                wish, folder, EngineSettings.from_environment({}), clock=clock, ids=ids, report=note, hurry=hurry
            ) as running,
            httpx.AsyncClient(base_url=running.address, trust_env=False) as client,
        ):
            await Replay(Asking(client, clock), WARM_UP, clock, ids).play(PATIENCE_SECONDS)
            replay = Replay(Asking(client, clock), dues, clock, ids)
            async with _watched(replay, len(dues), console):
                return await replay.play(patience)


@contextlib.asynccontextmanager
async def _watched(replay: Replay, runs: int, console: Console) -> AsyncIterator[None]:
    """One line that is drawn anew, for people; nothing in a log."""

    def line() -> Text:
        return Text(
            f"{len(replay.posted)} of {runs} arrived · {replay.running} running · {replay.seconds():.1f} s", "dim"
        )

    if not console.is_terminal:
        yield
        return
    with Live(console=console, refresh_per_second=FRAMES_PER_SECOND, get_renderable=line, transient=True):
        yield


def _require_patience(seconds: float, speed: int) -> None:
    if seconds > IDEAL_SECONDS_MAX:
        enough = math.ceil(speed * seconds / IDEAL_SECONDS_MAX)
        raise Refusal(
            f"This replay would take {in_words(seconds)}, and six hours are the most: choose --speed {enough} or more, or draw "
            f"the arrivals together with --busy 90."
        )
