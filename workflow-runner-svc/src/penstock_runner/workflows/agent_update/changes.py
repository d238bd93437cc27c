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
    """By path; files that stayed the same are left out."""
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
    before, after = (text.splitlines(keepends=True) for text in (old, new))
    for line in difflib.unified_diff(before, after, f"a/{path}", f"b/{path}"):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
