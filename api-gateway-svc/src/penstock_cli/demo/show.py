"""Runs the demo: everything up, ten projects submitted at once, and what becomes of them, until all have ended."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
from pathlib import Path

import httpx

from penstock_backbone.engines import EngineSettings
from penstock_backbone.ports import Clock
from penstock_backbone.system import SystemClock, SystemIds
from penstock_backbone.words import counted
from penstock_cli.data_folder import is_owned, owned
from penstock_cli.demo.frontend import Frontend
from penstock_cli.demo.picture import Lines, LiveTable, Picture, padded
from penstock_cli.demo.requests import REQUESTS
from penstock_cli.demo.story import Project, Scene
from penstock_cli.machine import Machine, machine
from penstock_cli.preflight import free_port
from penstock_cli.programs import Wish

HOST = "127.0.0.1"
PORT_PREFERRED = 8080
PACE_SECONDS_TERMINAL = 0.4
PACE_SECONDS_ELSEWHERE = 0.1
PLACES_SECONDS = 0.25
FOLDERS_KEPT_MAX = 5


class Stopwatch:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began: float | None = None

    def start(self) -> None:
        self._began = self._clock.monotonic()

    def seconds(self) -> float:
        return 0.0 if self._began is None else self._clock.monotonic() - self._began


async def demo(data: Path | None, port: int | None, limit: int, root: Path, hurry: asyncio.Event) -> int:
    """`data` None: a new folder under `root`. Exit code 0 when every project succeeded."""
    clock, ids, scene = SystemClock(), SystemIds(), Scene([])
    stopwatch = Stopwatch(clock)
    terminal = sys.stdout.isatty()
    wish = Wish(
        HOST, port or free_port(HOST, PORT_PREFERRED), runners=1, limit=limit,
        draft_pace_seconds=PACE_SECONDS_TERMINAL if terminal else PACE_SECONDS_ELSEWHERE,
    )  # fmt: skip
    settings = EngineSettings.from_environment({})  # never AWS, whatever else this shell is set up for
    with owned(data or new_folder(root)) as folder:
        picture = LiveTable(scene, stopwatch.seconds) if terminal else Lines(stopwatch.seconds)
        with contextlib.closing(picture):
            _introduce(picture, wish, chosen=port)
            async with (
                machine(wish, folder, settings, clock=clock, ids=ids, report=picture.note, hurry=hurry) as running,
                httpx.AsyncClient(base_url=running.address, trust_env=False) as client,
            ):
                picture.say(f"API {running.address}/v1/projects · data {_short(folder.path)}")
                stopwatch.start()
                await _perform(Frontend(client, clock, ids), scene, picture, clock)
                took = stopwatch.seconds()
                picture.close()
                _conclude(picture, running, scene, took, terminal=terminal)
                if terminal:
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.Event().wait()
    return 0 if scene.count("succeeded") == len(scene.projects) else 1


def new_folder(root: Path) -> Path:
    """The next number under `root`; the oldest go, so that demos do not fill the disk."""
    root.mkdir(parents=True, exist_ok=True)
    numbers = sorted(int(entry.name) for entry in root.iterdir() if entry.name.isdecimal())
    for number in numbers[: 1 - FOLDERS_KEPT_MAX]:
        if not is_owned(root / str(number)):
            shutil.rmtree(root / str(number), ignore_errors=True)
    return root / str(numbers[-1] + 1 if numbers else 1)


async def _perform(frontend: Frontend, scene: Scene, picture: Picture, clock: Clock) -> None:
    """Submits everything at once and follows every project to its end."""
    left = await frontend.unfinished()
    accepted = [*left, *await asyncio.gather(*(frontend.submit(request) for request in REQUESTS))]
    scene.projects += [Project(project.name, project.project_id, project.run_id) for project in accepted]
    if left:
        picture.note(f"it goes on with {counted(len(left), 'project')} of before")
    picture.line(f"{counted(len(REQUESTS), 'project')} accepted")
    async with asyncio.TaskGroup() as group:
        queue = group.create_task(_watch_queue(frontend, scene, picture, clock))
        followers = [group.create_task(_follow(frontend, project, picture)) for project in scene.projects]
        await asyncio.gather(*followers)
        queue.cancel()


async def _follow(frontend: Frontend, project: Project, picture: Picture) -> None:
    async with contextlib.aclosing(frontend.follow(project.project_id)) as events:
        async for sequence, kind, data in events:
            line = project.apply(sequence, kind, data)
            if line is not None:
                picture.change(project, line)
            if project.ended:
                return


async def _watch_queue(frontend: Frontend, scene: Scene, picture: Picture, clock: Clock) -> None:
    """The board has no events of its own: it is a picture that changes a few times a second."""
    while not scene.ended:
        line = scene.take_places(await frontend.places())
        if line is not None:
            picture.line(line)
        await clock.sleep(PLACES_SECONDS)


def _introduce(picture: Picture, wish: Wish, *, chosen: int | None) -> None:
    picture.say(f"Penstock demo: {len(REQUESTS)} projects at once, at most {wish.limit} at a time.")
    picture.say(
        f"An offline drafter stands in for the model; each stage is slowed by {wish.draft_pace_seconds} s so that it can be watched."
    )
    if chosen is None and wish.port != PORT_PREFERRED:
        picture.say(f"Port {PORT_PREFERRED} is in use by another program, so this takes port {wish.port}.")


def _conclude(picture: Picture, running: Machine, scene: Scene, took: float, *, terminal: bool) -> None:
    picture.say("\nWhat the runs made:")
    for project in scene.projects:
        picture.say(f"  {padded(project.name)}  {_short(running.folder.path)}/artifacts/{project.run_id}")
    picture.say(f"over HTTP:  {running.address}/v1/runs/RUN/artifacts, and where its time went: …/RUN/trace")
    picture.say(f"API docs:   {running.address}/docs")
    look_again = f"It ends here; `penstock up --data {_short(running.folder.path)}` shows it again."
    picture.say("Everything stays up until Ctrl-C." if terminal else look_again)
    picture.say(f"{scene.count('succeeded')} succeeded, {scene.count('failed')} failed in {took:.1f} s")


def _short(path: Path) -> Path:
    """As a person in this folder would type it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
