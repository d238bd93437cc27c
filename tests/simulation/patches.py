"""Puts a named bug, or a plan's own settings, into the services' code, and takes them out again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import msgspec
from tests.simulation.plan import Plan

from penstock_api.domain import wishes
from penstock_orchestrator.domain import decision, picker, together
from penstock_orchestrator.handlers import admission, resharding
from penstock_runner.handlers import journal

SHORT_STORY_FACTS = 50
"""Of a run, in place of FACTS_MAX: 30 that tell what it does, and 20 for its end."""


@dataclass(slots=True)
class Patches:
    """Replaces attributes, and puts them back."""

    _replaced: list[tuple[Any, str, Any]] = field(default_factory=list)

    def put(self, where: Any, name: str, value: Any) -> Any:
        """Returns what stood there."""
        old = where.__dict__[name]
        self._replaced.append((where, name, old))
        setattr(where, name, value)
        return old.__func__ if isinstance(old, staticmethod | classmethod) else old

    @staticmethod
    def change(where: Any, name: str, value: Any) -> None:
        """Of what `put` has replaced already."""
        setattr(where, name, value)

    def replaced(self) -> Iterator[tuple[str, Any, Any]]:
        """What each bug calls its own: by name, what stood there and what stands there now."""
        for where, name, old in self._replaced:
            yield f"{where.__name__}.{name}", old, where.__dict__[name]

    def places(self) -> list[tuple[Any, str, Any]]:
        """Where something was replaced, as where and by what name, and what stood there before the first time."""
        first: dict[tuple[int, str], tuple[Any, str, Any]] = {}
        for where, name, old in self._replaced:
            first.setdefault((id(where), name), (where, name, old))
        return list(first.values())

    def undo(self) -> None:
        while self._replaced:
            where, name, old = self._replaced.pop()
            setattr(where, name, old)


@dataclass(frozen=True, slots=True)
class Mutation:
    """`redundant`: why it may survive: another defence stands behind the one it takes away."""

    name: str
    patch: Callable[[Patches], None]
    redundant: str = ""


def without_condition(patches: Patches, module: ModuleType, name: str) -> None:
    real = patches.put(module, name, None)

    def unconditional(*given: Any, **named: Any) -> Any:
        return msgspec.structs.replace(real(*given, **named), when=None)

    patches.change(module, name, unconditional)


def fit(patches: Patches, plan: Plan) -> None:
    """The services' own numbers, where the plan wants others: a small world never reaches those of production."""
    patches.put(picker, "_AGE_MS", plan.age_seconds * 1000)
    if plan.narrow:
        for module, name in (
            (decision, "PEND_MAX"), (together, "PEND_MAX"), (admission, "ENQUEUED_MAX"), (resharding, "TOKENS_MAX"),
        ):  # fmt: skip
            patches.put(module, name, plan.narrow)
        patches.put(wishes, "FACTS_MAX", SHORT_STORY_FACTS)
        patches.put(wishes, "FACTS_KEPT", SHORT_STORY_FACTS // 2)
        patches.put(journal, "FACTS_MAX", SHORT_STORY_FACTS)
