"""Finds the workflows this runner can execute: the built-in ones, and those of the modules it was told to load."""

from __future__ import annotations

import importlib
import importlib.metadata
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from penstock_backbone.records.sessions import needed
from penstock_runner.authoring import Workflow
from penstock_runner.domain.mistakes import Problem
from penstock_runner.domain.plan import Plan, make_plan

ENTRY_POINTS = "penstock.workflows"
"""The group in which an installed package names its workflow modules: they are served without being asked for."""
MODULES_MAX = 100
WORKFLOWS_MAX = 1000


@dataclass(slots=True)
class Registry:
    """Plans by name and version. Several versions of a workflow may be served side by side, so that runs which
    began with an older one can finish; new runs begin with the one that was listed last.
    """

    _versions: dict[tuple[str, str], Plan] = field(default_factory=dict)
    _newest: dict[str, Plan] = field(default_factory=dict)

    def add(self, workflow: Workflow) -> Problem | None:
        plan = make_plan(workflow)
        if isinstance(plan, Problem):
            return plan
        key = (workflow.name, workflow.version)
        if key in self._versions:
            return Problem(f"workflow {workflow.name}: version {workflow.version} is listed twice", workflow.where)
        if len(self._versions) == WORKFLOWS_MAX:
            return Problem(
                f"workflow {workflow.name}: one runner serves {WORKFLOWS_MAX} workflows at most", workflow.where
            )
        self._versions[key] = self._newest[workflow.name] = plan
        return None

    def find(self, name: str, version: str | None) -> Plan | None:
        """`version` None: the run has not begun, so any will do, and the newest is taken."""
        return self._newest.get(name) if version is None else self._versions.get((name, version))

    def newest(self) -> list[Plan]:
        return list(self._newest.values())

    def plans(self) -> list[Plan]:
        """Every version of every workflow."""
        return list(self._versions.values())

    def serves(self) -> list[str]:
        """Every version of every workflow, as a session says it."""
        return sorted(needed(name, version) for name, version in self._versions)

    def blocking_modules(self) -> tuple[str, ...]:
        """Where the plain functions among the stages stand."""
        stages = [plan.stages[name] for plan in self.plans() for name in sorted(plan.blocking)]
        return tuple(dict.fromkeys(stage.run.__module__ for stage in stages))


@dataclass(frozen=True, slots=True)
class Loaded:
    """`problems`: one plain sentence for everything that could not be served; the rest is."""

    registry: Registry
    problems: Sequence[str]


def load(built_in: Iterable[Workflow], modules: Iterable[str]) -> Loaded:
    """The built-in workflows, and those of each module: its `WORKFLOWS`, a tuple of Workflow."""
    registry = Registry()
    problems = [f"built in: {problem}" for problem in _add_all(registry, built_in)]
    names = list(dict.fromkeys(modules))
    if len(names) > MODULES_MAX:
        problems.append(f"{len(names)} workflow modules were named, and only the first {MODULES_MAX} are loaded")
    for name in names[:MODULES_MAX]:
        problems += [f"{name}: {problem}" for problem in _load_module(registry, name)]
    return Loaded(registry, problems)


def installed_modules() -> tuple[str, ...]:
    """The workflow modules of the installed packages, from their metadata alone: nothing is imported yet."""
    found = importlib.metadata.entry_points(group=ENTRY_POINTS)
    return tuple(dict.fromkeys(point.module for point in sorted(found, key=lambda point: point.name)))


def module_names(text: str) -> tuple[str, ...]:
    """From `--workflows` or PENSTOCK_WORKFLOWS: names with commas between them."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _load_module(registry: Registry, name: str) -> list[str]:
    if "/" in name or name.endswith(".py"):
        return [
            f"is a file: name the module as an import does, {name.removesuffix('.py').strip('./').replace('/', '.')}"
        ]
    try:
        module = importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  # whatever the module does wrong, the others are served
        return [f"could not be loaded ({_where(error)}): {type(error).__name__}: {str(error)[:500]}"]
    workflows = getattr(module, "WORKFLOWS", None)
    if not isinstance(workflows, tuple):
        file = getattr(module, "__file__", None)
        return [str(Problem("must have WORKFLOWS, a tuple of Workflow", file or ""))]
    return _add_all(registry, workflows)


def _add_all(registry: Registry, workflows: Iterable[Workflow]) -> list[str]:
    return [sentence for workflow in workflows if (sentence := _add(registry, workflow)) is not None]


def _add(registry: Registry, workflow: Workflow) -> str | None:
    try:
        problem = registry.add(workflow)
    except Exception as error:  # noqa: BLE001  # what an author can write is endless, and the others are served
        told = f"{workflow!r:.100} is not a usable Workflow: {type(error).__name__}: {error}"
        return str(Problem(told, getattr(workflow, "where", "")))
    return str(problem) if problem else None


def _where(error: BaseException) -> str:
    """File and line: of the syntax error itself, else of the deepest call outside Python's import machinery."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen")]
    if len(frames) <= 1 or frames[-1].filename == importlib.__file__:
        return "no such module"
    return f"{frames[-1].filename}, line {frames[-1].lineno}"
