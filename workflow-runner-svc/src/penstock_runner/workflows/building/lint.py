"""What a linter finds in generated Python: names that nothing defines, tests that another one hides, and untidiness."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pyflakes import messages
from pyflakes.checker import Checker

from penstock_runner.workflows.building.documents import SourceFile

FINDINGS_MAX = 20
FINDING_CHARS_MAX = 300

_UNTIDY = (
    messages.UnusedImport,
    messages.UnusedVariable,
    messages.UnusedAnnotation,
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
    """Of files that parse. Takes a second or so for each 256 KB of Python."""
    faults: list[str] = []
    notes: list[str] = []
    for file in files:
        if file.path.endswith(".py"):
            for sentence, untidy in _found_in(file):
                (notes if untidy else faults).append(sentence[:FINDING_CHARS_MAX])
    return Findings(tuple(faults[:FINDINGS_MAX]), tuple(notes[:FINDINGS_MAX]))


def _found_in(file: SourceFile) -> Iterator[tuple[str, bool]]:
    try:
        found = Checker(ast.parse(file.text), file.path).messages
    except RecursionError:
        yield f"{file.path!r} is nested too deeply to be checked.", False
        return
    for message in sorted(found, key=lambda message: message.lineno):
        yield (
            f"{file.path!r}, line {message.lineno}: {message.message % message.message_args}.",
            isinstance(message, _UNTIDY),
        )
