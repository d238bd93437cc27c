"""What an update has changed, for people: changes.md, and the whole difference as changes.diff."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from penstock_runner.workflows.agent_update.documents import RequirementsUpdate, UpdatePlan
from penstock_runner.workflows.building.documents import SourceFile
from penstock_runner.workflows.building.drafter.markdown import in_markdown, quoted
from penstock_runner.workflows.building.drafter.wording import wording

DOCUMENT = "changes.md"
DIFFERENCE = "changes.diff"
DIFFERENCE_CHARS_MAX = 512 * 1024
COMPARED_LINES_MAX = 5_000
"""Of one file, before or after: comparing takes the square of that. A longer one is told as written anew."""


@dataclass(frozen=True, slots=True)
class FileChange:
    """`lines`: of a unified difference. `kind` is an index into Wording.changed: added, changed, removed."""

    path: str
    kind: int
    lines: tuple[str, ...]

    @property
    def added(self) -> int:
        return sum(line.startswith("+") for line in self.lines[2:])

    @property
    def removed(self) -> int:
        return sum(line.startswith("-") for line in self.lines[2:])


def changes_between(before: Sequence[SourceFile], after: Sequence[SourceFile]) -> list[FileChange]:
    """By path; files that stayed the same are left out. May take seconds: off the loop, please."""
    old, new = ({file.path: file.text for file in files} for files in (before, after))
    return [
        FileChange(path, _kind(path, old, new), tuple(_difference(path, old.get(path, ""), new.get(path, ""))))
        for path in sorted(old | new)
        if old.get(path) != new.get(path)
    ]


def difference(changes: Sequence[FileChange]) -> bytes:
    """What `patch -p1` takes; cut at DIFFERENCE_CHARS_MAX."""
    return "".join(line for change in changes for line in change.lines)[:DIFFERENCE_CHARS_MAX].encode()


def document(plan: UpdatePlan, update: RequirementsUpdate, changes: Sequence[FileChange]) -> bytes:
    phrases = wording(plan.language)
    lines = [
        f"# {in_markdown(plan.title)} {plan.base_version} → {plan.version}", "", in_markdown(plan.summary), "",
        f"## {phrases.asked}", "", quoted(plan.change), "",
        *(f"- {in_markdown(point.text)}" for point in update.changes), "",
        f"## {phrases.changes}", "", "| | | + | − |", "|---|---|---|---|",
        *(f"| `{one.path}` | {phrases.changed[one.kind]} | {one.added} | {one.removed} |" for one in changes), "",
    ]  # fmt: skip
    if update.not_covered:
        lines += [f"## {phrases.not_covered}", "", *(f"- {in_markdown(lack)}" for lack in update.not_covered), ""]
    return "\n".join(lines).encode()


def _kind(path: str, old: Mapping[str, str], new: Mapping[str, str]) -> int:
    return 0 if path not in old else 1 if path in new else 2


def _difference(path: str, old: str, new: str) -> Iterator[str]:
    before, after = _lines(old), _lines(new)
    compared = max(len(before), len(after)) <= COMPARED_LINES_MAX
    names = f"a/{path}", f"b/{path}"
    for line in difflib.unified_diff(before, after, *names) if compared else _written_anew(before, after, *names):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _lines(text: str) -> list[str]:
    """As `patch` counts them: str.splitlines would end a line at other signs, too."""
    *whole, rest = text.split("\n")
    return [*(f"{line}\n" for line in whole), *([rest] if rest else [])]


def _written_anew(before: Sequence[str], after: Sequence[str], old: str, new: str) -> Iterator[str]:
    yield f"--- {old}\n"
    yield f"+++ {new}\n"
    yield f"@@ -{min(1, len(before))},{len(before)} +{min(1, len(after))},{len(after)} @@\n"
    yield from (f"-{line}" for line in before)
    yield from (f"+{line}" for line in after)
