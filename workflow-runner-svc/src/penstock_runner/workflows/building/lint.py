"""What a linter finds in generated Python: names that nothing defines, tests that another one hides, and untidiness."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from pyflakes import messages
from pyflakes.checker import Checker

from penstock_runner.workflows.building.documents import SourceFile

FINDINGS_MAX = 20
FINDING_CHARS_MAX = 300
REMEMBERED_MAX, REMEMBERED_CHARS_MAX = 256, 16 * 1024
"""Files whose findings are kept: those that the offline drafter writes are the same in many packages."""

_UNTIDY = (
    messages.UnusedImport,
    messages.UnusedVariable,
    messages.UnusedAnnotation,
    messages.UnusedIndirectAssignment,
    messages.ImportShadowedByLoopVar,
    messages.ImportStarUsed,
    messages.ImportStarUsage,
    messages.FStringMissingPlaceholders,
    messages.StringDotFormatExtraNamedArguments,
    messages.StringDotFormatExtraPositionalArguments,
    messages.PercentFormatExtraNamedArguments,
)
"""Such code does what it says. All else that pyflakes finds goes wrong when it runs, or silently never runs."""


@dataclass(frozen=True, slots=True)
class Findings:
    """One sentence each. `faults` must be mended, `notes` are only told; FINDINGS_MAX of both at most."""

    faults: tuple[str, ...]
    notes: tuple[str, ...]


def lint(files: Sequence[SourceFile]) -> Findings:
    """Of files that parse. Takes a second or so for each 256 KB of Python that it has not just seen."""
    faults: list[str] = []
    notes: list[str] = []
    for file in files:
        if not file.path.endswith(".py"):
            continue
        look = _found_in if len(file.text) <= REMEMBERED_CHARS_MAX else _found_in.__wrapped__
        for found in look(file.text, of_package=file.path.endswith("__init__.py")):
            sentence = f"{file.path!r}{found.place}: {found.message}."[:FINDING_CHARS_MAX]
            (notes if found.untidy else faults).append(sentence)
    return Findings(tuple(faults[:FINDINGS_MAX]), tuple(notes[:FINDINGS_MAX]))


class _Found(NamedTuple):
    place: str
    message: str
    untidy: bool


@lru_cache(maxsize=REMEMBERED_MAX)
def _found_in(text: str, *, of_package: bool) -> tuple[_Found, ...]:
    """`of_package`: it is an __init__.py, which may export what its submodules have."""
    try:
        found = Checker(ast.parse(text), "__init__.py" if of_package else "module.py").messages
    except RecursionError:
        return (_Found("", "nested too deeply to be checked", untidy=False),)
    return tuple(
        _Found(f", line {one.lineno}", one.message % one.message_args, isinstance(one, _UNTIDY))
        for one in sorted(found, key=lambda one: one.lineno)
    )
