"""Draws the scene: a live table on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Protocol

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from penstock_backbone.words import counted
from penstock_cli.demo.story import Project, Scene

NAME_CELLS = 18
FRAMES_PER_SECOND = 8
NOTES_SHOWN_MAX = 3


class Picture(Protocol):
    """`say` puts a line that stays; `note` one that belongs to a moment; a table shows by itself what `change` and `line` tell."""

    def say(self, line: str) -> None: ...
    def note(self, line: str) -> None: ...
    def change(self, project: Project, line: str) -> None: ...
    def line(self, line: str) -> None: ...
    def close(self) -> None:
        """Nothing moves any more. May be called twice."""
        ...


class Lines:
    """For logs and pipes: `seconds` tells how long the demo has been going."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds

    def say(self, line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def note(self, line: str) -> None:
        self.say(f"{self._seconds():6.2f} s  {line}")

    def change(self, project: Project, line: str) -> None:
        self.note(f"{padded(project.name)}  {line}")

    def line(self, line: str) -> None:
        self.note(line)

    def close(self) -> None:
        pass


class LiveTable:
    """For people: one table that is drawn anew a few times a second, with the latest notes under it."""

    def __init__(self, scene: Scene, seconds: Callable[[], float]) -> None:
        self._scene = scene
        self._seconds = seconds
        self._notes: list[str] = []
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, refresh_per_second=FRAMES_PER_SECOND, get_renderable=self._draw)
        self._live.start()

    def say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, markup=False)

    def note(self, line: str) -> None:
        if self._live.is_started:
            self._notes = [*self._notes, line][-NOTES_SHOWN_MAX:]
        else:
            self.say(line)

    def change(self, project: Project, line: str) -> None:
        pass

    def line(self, line: str) -> None:
        pass

    def close(self) -> None:
        self._live.stop()

    def _draw(self) -> RenderableType:
        if not self._scene.projects:
            return Group(*(Text(note, style="yellow") for note in self._notes))
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for title in ("project", "state", "stages", "now"):
            table.add_column(title, no_wrap=True)
        for project in self._scene.projects:
            table.add_row(project.name, _state(project), _stages(project), _now(project))
        scene = self._scene
        summary = (
            f"{scene.count('running')} running · {scene.count('waiting')} waiting · "
            f"{scene.count('succeeded', 'failed')} done · {self._seconds():.1f} s"
        )
        return Group(table, Text(summary, style="dim"), *(Text(note, style="yellow") for note in self._notes))


def padded(name: str) -> str:
    """To one width on a terminal, where a Chinese character takes two cells."""
    return name + " " * max(0, NAME_CELLS - cell_len(name))


def _state(project: Project) -> Text:
    match project.state:
        case "waiting":
            return Text(f"waits, position {project.position}" if project.position else "waits", style="yellow")
        case "running":
            return Text("runs" if project.attempt <= 1 else f"runs, attempt {project.attempt}", style="cyan")
        case "succeeded":
            return Text("succeeded", style="green")
        case "failed":
            return Text("failed", style="bold red")


def _stages(project: Project) -> Text:
    """One mark a stage: finished, under way, still to come."""
    bar = Text()
    for stage in project.stages:
        if stage in project.finished:
            bar.append("■", style="green")
        elif stage in project.current:
            bar.append("■", style="cyan")
        else:
            bar.append("·", style="dim")
    return bar


def _now(project: Project) -> Text:
    if project.state == "failed":
        return Text(project.error, style="red")
    if project.state == "succeeded":
        return Text(counted(project.artifacts, "file"), style="dim")
    return Text(", ".join(sorted(project.current)), style="cyan")
