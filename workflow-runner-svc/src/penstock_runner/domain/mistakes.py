"""What an author can get wrong in a workflow, in one plain sentence each, with the line that says so."""

from __future__ import annotations

import inspect
import pickle
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import get_origin

from pydantic import BaseModel
from pydantic.errors import PydanticUserError

from penstock_backbone.records.limits import RESOURCE_NAME_PATTERN, RESOURCES_MAX
from penstock_runner.authoring import FAILURE_HOOK, STAGE_NAME_PATTERN, STAGES_MAX, Stage, Workflow

VERSION_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,39}"
ATTEMPTS_MAX = 20
TIMEOUT_SECONDS_MAX = 24 * 3600.0
RUN_TIMEOUT_SECONDS_MAX = 30 * 24 * 3600.0
BACKOFF_SECONDS_MAX = 60.0
AT_ONCE_MAX = 64
TITLE_CHARS_MAX = 100
ITEMS_MAX = 100
"""Of the list of a stage with `each`: each finished one stands in the run's item for a while."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a workflow cannot be served. `where`: the file and line that are at fault, as far as they are known."""

    sentence: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.sentence} ({self.where})" if self.where else self.sentence


def mistakes(workflow: Workflow) -> Iterator[Problem]:
    """In the order in which they are best mended; what comes after the first may follow from it."""
    if not isinstance(workflow, Workflow):
        yield Problem(f"{workflow!r:.100} is not a Workflow")
        return
    if not _matches(STAGE_NAME_PATTERN, workflow.name):
        yield Problem(f"workflow {workflow.name!r:.60}: its name must match {STAGE_NAME_PATTERN}", workflow.where)
    here = f"workflow {workflow.name}"
    for sentence in (*_of_workflow(workflow), *_of_hook(workflow)):
        yield Problem(f"{here}: {sentence}", workflow.where)
    for sentence, where in _of_names(workflow):
        yield Problem(f"{here}, {sentence}", where or workflow.where)
    names = {stage.name for stage in workflow.stages}
    for stage in workflow.stages:
        for sentence in _of_stage(stage, names):
            yield Problem(f"{here}, stage {stage.name}: {sentence}", stage.where)


def _of_workflow(workflow: Workflow) -> Iterator[str]:
    if not _matches(VERSION_PATTERN, workflow.version):
        yield f"its version {workflow.version!r:.60} must match {VERSION_PATTERN}"
    if not isinstance(workflow.stages, tuple):
        yield "its stages must be a tuple of Stage"
        return
    if not 1 <= len(workflow.stages) <= STAGES_MAX:
        yield f"it has {len(workflow.stages)} stages, and 1 to {STAGES_MAX} are possible"
    if workflow.input is not None and not (isinstance(workflow.input, type) and issubclass(workflow.input, BaseModel)):
        yield "its input must be a pydantic model class"
    lists = [stage.resources for stage in workflow.stages if isinstance(stage, Stage)]
    used = {repr(name) for names in lists if isinstance(names, tuple) for name in names}
    if len(used) > RESOURCES_MAX:
        yield f"its stages use {len(used)} resources, and up to {RESOURCES_MAX} are possible"
    if workflow.timeout_seconds is not None and not _is_number(workflow.timeout_seconds):
        yield f"timeout_seconds is {workflow.timeout_seconds!r:.60}, and must be a number, or None for no limit"
    elif workflow.timeout_seconds is not None and not 0 < workflow.timeout_seconds <= RUN_TIMEOUT_SECONDS_MAX:
        yield (
            f"timeout_seconds is {workflow.timeout_seconds}, and up to {RUN_TIMEOUT_SECONDS_MAX:.0f} are possible, "
            "or None for no limit"
        )


def _of_hook(workflow: Workflow) -> Iterator[str]:
    hook = workflow.on_failure
    if hook is None:
        return
    try:
        fits = is_async(hook) and inspect.signature(hook).bind(None, None) is not None
    except (TypeError, ValueError):
        fits = False
    if not fits:
        yield "on_failure must be an async function that takes the context and the failure"
    if any(isinstance(stage, Stage) and stage.name == FAILURE_HOOK for stage in workflow.stages):
        yield f"no stage can be called {FAILURE_HOOK} beside the hook of that name"


def of_each(stage: Stage, stages: Mapping[str, Stage], before: Container[str]) -> str | None:
    """What is wrong with the list that the stage runs through; `before` are the stages that end before it begins."""
    assert stage.each is not None
    source, dot, field = stage.each.partition(".")
    if not dot or source not in stages:
        return f'each is {stage.each!r:.60}, and must be "stage.field" with the name of a stage'
    if source not in before:
        return f"each reads the output of {source}, so {source} must be in needs"
    found = stages[source].output.model_fields.get(field)
    if stages[source].each is not None or found is None:
        return f"each reads the field {field!r:.60}, which the output of {source} does not have"
    if get_origin(found.annotation) not in (list, tuple):
        return f"each reads the field {field} of {source}, which must be a list or a tuple"
    return None


def _of_names(workflow: Workflow) -> Iterator[tuple[str, str]]:
    seen = set()
    for stage in workflow.stages:
        if not isinstance(stage, Stage):
            yield f"{stage!r:.100} is not a Stage", ""
        elif not _matches(STAGE_NAME_PATTERN, stage.name):
            yield f"stage {stage.name!r:.60}: its name must match {STAGE_NAME_PATTERN}", stage.where
        elif stage.name in seen:
            yield f"stage {stage.name}: another stage has the same name", stage.where
        else:
            seen.add(stage.name)


def _of_stage(stage: Stage, names: Container[str]) -> Iterator[str]:
    if not isinstance(stage.title, str) or len(stage.title) > TITLE_CHARS_MAX:
        yield f"its title must be text of up to {TITLE_CHARS_MAX} characters"
    if stage.each is not None and not isinstance(stage.each, str):
        yield f'each is {stage.each!r:.60}, and must be "stage.field" with the name of a stage'
    yield from _of_function(stage)
    yield from _of_output(stage)
    yield from _of_needs(stage, names)
    yield from _of_numbers(stage)
    if not isinstance(stage.final_errors, tuple) or not all(map(_is_error, stage.final_errors)):
        yield "final_errors must be a tuple of exception classes"
    yield from _of_resources(stage)


def _of_numbers(stage: Stage) -> Iterator[str]:
    for field in ("attempts_max", "at_once", "backoff_seconds", "jitter", "timeout_seconds"):
        value, whole = getattr(stage, field), field in ("attempts_max", "at_once")
        if not _is_number(value) or (whole and not isinstance(value, int)):
            yield f"{field} is {value!r:.60}, and must be a {'whole ' if whole else ''}number"
            return
    if not 1 <= stage.attempts_max <= ATTEMPTS_MAX:
        yield f"attempts_max is {stage.attempts_max}, and 1 to {ATTEMPTS_MAX} are possible"
    if not 0 <= stage.backoff_seconds <= BACKOFF_SECONDS_MAX:
        yield f"backoff_seconds is {stage.backoff_seconds}, and 0 to {BACKOFF_SECONDS_MAX:.0f} are possible"
    if not 0 <= stage.jitter <= 1:
        yield f"jitter is {stage.jitter}, and 0 to 1 are possible"
    if not 0 < stage.timeout_seconds <= TIMEOUT_SECONDS_MAX:
        yield f"timeout_seconds is {stage.timeout_seconds}, and up to {TIMEOUT_SECONDS_MAX:.0f} are possible"
    if not 1 <= stage.at_once <= AT_ONCE_MAX:
        yield f"at_once is {stage.at_once}, and 1 to {AT_ONCE_MAX} are possible"


def _of_resources(stage: Stage) -> Iterator[str]:
    if not isinstance(stage.resources, tuple):
        yield f'resources must be a tuple of names: ("model:sonnet",), not {stage.resources!r:.60}'
        return
    for name in stage.resources:
        if not _matches(RESOURCE_NAME_PATTERN, name):
            yield f"the resource {name!r:.100} must be a sort and a name, as in model:sonnet"


def _of_function(stage: Stage) -> Iterator[str]:
    if not callable(stage.run):
        yield "what it runs must be a function that takes the context"
        return
    given = (None,) if stage.each is None else (None, None)
    try:
        inspect.signature(stage.run).bind(*given)
    except TypeError:
        takes = "the context, and nothing else" if stage.each is None else "the context and the item"
        yield f"what it runs must be a function that takes {takes}"
    if is_async(stage.run):
        return
    try:
        pickle.dumps((stage.run, stage.output, stage.final_errors))
    except Exception as error:  # noqa: BLE001  # whatever a class or a function object answers to pickle
        yield (
            "it is a plain function, so it runs in a worker process: it, its output and its final_errors must stand "
            f"at the top of a module ({error!s:.200}); or make it an async def"
        )


def _of_output(stage: Stage) -> Iterator[str]:
    if not (isinstance(stage.output, type) and issubclass(stage.output, BaseModel)):
        yield "its output must be a pydantic model class"
        return
    if (reason := _no_json(stage.output)) is not None:
        yield f"its output {stage.output.__name__} cannot be written as JSON: {reason:.300}"


@lru_cache(maxsize=1_000)
def _no_json(model: type[BaseModel]) -> str | None:
    """A model that has no JSON Schema holds something that JSON cannot."""
    try:
        model.model_json_schema(mode="serialization")
    except (PydanticUserError, NameError) as error:
        return str(error).splitlines()[0]
    except Exception as error:  # noqa: BLE001  # a model may have code of its author's that makes its schema
        return f"{type(error).__name__}: {error}"
    return None


def _of_needs(stage: Stage, names: Container[str]) -> Iterator[str]:
    if isinstance(stage.needs, str):
        yield f'needs=("{stage.needs}",) was probably meant: needs is a tuple of names'
        return
    if not isinstance(stage.needs, (tuple, list, set, frozenset, type(None))):
        yield f"needs must be a tuple of names, not {stage.needs!r:.60}"
        return
    for need in stage.needs or ():
        if need == stage.name:
            yield "it needs itself"
        elif need not in names:
            yield f"it needs {need!r:.60}, and no stage has that name"


def _matches(pattern: str, text: object) -> bool:
    return isinstance(text, str) and re.fullmatch(pattern, text) is not None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_error(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Exception)


def is_async(run: object) -> bool:
    """An object with an async __call__ is as good as a function."""
    return inspect.iscoroutinefunction(run) or inspect.iscoroutinefunction(getattr(run, "__call__", None))  # noqa: B004  # the method itself is looked at, not whether there is one
