"""`penstock up`: everything on this machine, until somebody ends it."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from pathlib import Path

from penstock_backbone.engines import EngineSettings
from penstock_backbone.system import SystemClock, SystemIds
from penstock_cli.data_folder import owned
from penstock_cli.machine import Machine, machine
from penstock_cli.programs import Wish
from penstock_cli.refusal import PROBLEM

CHECK_SECONDS_MAX = 20.0


async def up(wish: Wish, data: Path, settings: EngineSettings, hurry: asyncio.Event) -> int:
    with owned(data) as folder:
        async with machine(
            wish, folder, settings, clock=SystemClock(), ids=SystemIds(), report=_say, hurry=hurry
        ) as running:
            for line in greeting(running):
                _say(line)
            with contextlib.suppress(asyncio.CancelledError):
                for line in await unserved(wish.workflows):
                    _say(line)
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


async def unserved(modules: str) -> list[str]:
    """What the runners had to leave out of the comma-separated list, and why, as lines for people. Asked of a process of
    its own, because importing a module may do anything."""
    names = list(filter(None, map(str.strip, modules.split(","))))
    if not names:
        return []
    checking = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "penstock_cli.main", "workflow", "check", *names,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(CHECK_SECONDS_MAX):
            said, _ = await checking.communicate()
    except TimeoutError:
        return [f"  workflows {modules} took more than {CHECK_SECONDS_MAX:.0f} s to load: the logs say what is served"]
    finally:
        with contextlib.suppress(ProcessLookupError):
            checking.kill()
    problems = [line for line in said.decode(errors="replace").splitlines() if line.startswith(PROBLEM)]
    return [*(f"  {problem}" for problem in problems), "  All other workflows are served."] if problems else []


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # this is what the command says
