"""`penstock workflow check`: loads workflow modules as a runner would, says what is wrong, and prints each graph."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from penstock_backbone.words import counted
from penstock_cli.refusal import PROBLEM
from penstock_runner.authoring import Stage
from penstock_runner.bootstrap import Settings, find_workflows
from penstock_runner.domain.plan import Plan
from penstock_runner.registry import load

FAULTY = 1
PIPED_COLUMNS = 200
"""Where no terminal says how wide it is, nothing needs to be folded."""


def check(modules: Sequence[str], console: Console) -> int:
    """0 when every workflow of the modules can be served; without any, of those that ship with Penstock or are
    installed beside it. Raises Fatal where the environment is wrong."""
    with _found_here():
        loaded = load((), modules) if modules else find_workflows(Settings.from_environment(os.environ), ())
    for plan in loaded.registry.plans():
        _show(plan, console)
    for problem in loaded.problems:
        console.print(Text.assemble((PROBLEM, "bold red"), problem), soft_wrap=True)
    if loaded.problems:
        return FAULTY
    count = len(loaded.registry.plans())
    console.print(Text(f"✓ {counted(count, 'workflow')} can be served", "green"))
    return 0


@contextlib.contextmanager
def _found_here() -> Iterator[None]:
    """Modules in the working directory are found, as they are by the runners that `penstock up` starts."""
    sys.path.append(str(Path.cwd()))
    try:
        yield
    finally:
        sys.path.pop()


def _show(plan: Plan, console: Console) -> None:
    workflow = plan.workflow
    heading = Text.assemble(
        (workflow.name, "bold"), f" version {workflow.version}, {counted(len(plan.stages), 'stage')}"
    )
    if workflow.timeout_seconds is not None:
        heading.append(f", {_duration(workflow.timeout_seconds)} at most")
    console.print(heading)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("  step", "stage", "after", "gives", "attempts", "time limit"):
        table.add_column(name, overflow="fold")
    steps = plan.steps()
    for number, step in enumerate(steps, start=1):
        for place, stage in enumerate(step):
            table.add_row(_step(number, place, len(step)), *_columns(plan, stage))
    console.print(table)
    console.print()


def _step(number: int, place: int, count: int) -> str:
    """Stages of one step may run side by side, which the bracket shows."""
    bracket = " " if count == 1 else "┌" if place == 0 else "└" if place == count - 1 else "│"
    return f"{number if place == 0 else '':>4} {bracket}"


def _columns(plan: Plan, stage: Stage) -> tuple[str, ...]:
    return (
        stage.name if stage.each is None else f"{stage.name} × {stage.each}",
        ", ".join(plan.needs[stage.name]) or "–",
        stage.output.__name__,
        str(stage.attempts_max),
        _duration(stage.timeout_seconds),
    )


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:g} s"
