"""`penstock up`: everything on this machine, until somebody ends it."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from penstock_backbone.engines import EngineSettings
from penstock_backbone.system import SystemClock, SystemIds
from penstock_cli.data_folder import owned
from penstock_cli.machine import Machine, machine
from penstock_cli.programs import Wish


async def up(wish: Wish, data: Path, settings: EngineSettings, hurry: asyncio.Event) -> int:
    with owned(data) as folder:
        async with machine(
            wish, folder, settings, clock=SystemClock(), ids=SystemIds(), report=_say, hurry=hurry
        ) as running:
            for line in greeting(running):
                _say(line)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
    return 0


def greeting(running: Machine) -> list[str]:
    return [
        "Penstock is up; Ctrl-C ends it.",
        f"  API       {running.address}/v1/projects",
        f"  API docs  {running.address}/docs",
        f"  data      {running.folder.path}",
        f"  logs      {running.folder.path / 'logs'}",
    ]


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # this is what the command says
