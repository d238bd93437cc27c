"""Says what is wrong with an assembled package, before anything is built or run from it."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from penstock_runner.workflows.building.documents import FILE_BYTES_MAX, FILES_MAX, SourceFile
from penstock_runner.workflows.building.lint import lint
from penstock_runner.workflows.building.packaging import MANIFEST, Package

PACKAGE_BYTES_MAX = 2 * 1024 * 1024
PATH_CHARS_MAX = 120
PROBLEMS_MAX = 20
CHECKED = (
    "no file escapes the package",
    "every file parses",
    "the linter finds no fault",
    "every import resolves",
    "the manifest is complete",
)
"""What a package without problems has passed, in words."""

# Also what a blob's key and every file system can hold: no hidden files, no "..", no drive, no absolute path.
_SAFE_PATH = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*/){0,4}[A-Za-z0-9_][A-Za-z0-9_-]*\.(?:py|md|json|toml|csv|txt)")
_DEVICE_NAMES = frozenset("con prn aux nul com1 com2 com3 lpt1 lpt2".split())  # noqa: SIM905  # shorter to read than a list
_TEST_LIBRARIES = frozenset({"pytest", "_pytest"})


@dataclass(frozen=True, slots=True)
class Inspection:
    """One sentence a problem, at most PROBLEMS_MAX; none means that the package may be built. `notes`: what the linter
    found untidy."""

    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()


def inspect(package: Package) -> Inspection:
    """A package with its manifest. Takes seconds for a large one: off the loop, please."""
    found = inspect_files(package.files)
    if found.problems:
        return found
    return Inspection(tuple(_manifest(package))[:PROBLEMS_MAX], found.notes)


def inspect_files(files: Sequence[SourceFile]) -> Inspection:
    """What can be said before there is a manifest."""
    if found := list(unsafe(files)) or list(unreadable(files)):
        return Inspection(tuple(found[:PROBLEMS_MAX]))
    linted = lint(files)
    found = [*linted.faults, *_imports(files)]
    return Inspection(tuple(found[:PROBLEMS_MAX]), linted.notes)


def misplaced(paths: Sequence[str], places: tuple[str, ...]) -> Iterator[str]:
    """`places`: what a path may begin with; none: anything."""
    for path in paths:
        if places and not path.startswith(places):
            yield f"The file {path!r} must be in one of {', '.join(places)}."


def unsafe(files: Sequence[SourceFile]) -> Iterator[str]:
    """Paths must be safe, unique on file systems that ignore case, and bounded in number and size."""
    if len(files) > FILES_MAX:
        yield f"The package has {len(files)} files; {FILES_MAX} are allowed."
    total = 0
    seen: set[str] = set()
    for file in files:
        size = len(file.text.encode())
        total += size
        stems = {part.split(".")[0].lower() for part in file.path.split("/")}
        if len(file.path) > PATH_CHARS_MAX or not _SAFE_PATH.fullmatch(file.path) or stems & _DEVICE_NAMES:
            yield f"{file.path[:PATH_CHARS_MAX]!r} is not a safe path inside the package."
        if file.path.lower() in seen:
            yield f"{file.path!r} is there twice."
        seen.add(file.path.lower())
        if size > FILE_BYTES_MAX:
            yield f"{file.path!r} is over {FILE_BYTES_MAX} bytes."
    if total > PACKAGE_BYTES_MAX:
        yield f"The package is over {PACKAGE_BYTES_MAX} bytes."


def unreadable(files: Sequence[SourceFile]) -> Iterator[str]:
    for file in files:
        try:
            if file.path.endswith(".py"):
                compile(file.text, file.path, "exec", dont_inherit=True)
            elif file.path.endswith(".json"):
                json.loads(file.text)
            elif file.path.endswith(".toml"):
                tomllib.loads(file.text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            yield f"{file.path!r} cannot be parsed: {str(error)[:200]}"


def _imports(files: Sequence[SourceFile]) -> Iterator[str]:
    """Only the standard library, the package itself, and pytest in tests: an invented dependency stops here."""
    texts = {
        file.path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): file.text
        for file in files
        if file.path.endswith(".py")
    }
    for file in files:
        if not file.path.endswith(".py"):
            continue
        for name in _imported(file.path, file.text):
            top = name.partition(".")[0]
            allowed = top in sys.stdlib_module_names or (top in _TEST_LIBRARIES and file.path.startswith("tests/"))
            module, _, last = name.rpartition(".")
            if not allowed and name not in texts and last not in top_names(texts.get(module, "")):
                yield f"{file.path!r} imports {name!r}, which is neither in the package nor in the standard library."


def _imported(path: str, text: str) -> Iterator[str]:
    """Absolute names of modules; of `from . import a` the name of a, a module or what the folder's __init__.py has."""
    here = path.split("/")[:-1]
    for node in _statements(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = here[: len(here) - node.level + 1] if node.level else []
            stem = [*parent, *([node.module] if node.module else [])]
            if node.module:
                yield ".".join(stem)
            else:
                yield from (".".join([*stem, alias.name]) for alias in node.names)


def top_names(text: str) -> set[str]:
    """What a module that parses defines or imports at its top."""
    found: set[str] = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Statements at every depth. Imports are among them, so expressions, most of a tree, need no visit."""
    waiting: list[ast.AST] = [*tree.body]
    while waiting:
        node = waiting.pop()
        yield node
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting.extend(getattr(node, block, ()))


def _manifest(package: Package) -> Iterator[str]:
    """It names every file but itself, with its size and checksum, and what is needed to run is there."""
    listed = {file.path: file for file in package.manifest.files}
    present = {file.path: file.text.encode() for file in package.files}
    for path, data in present.items():
        if path == MANIFEST:
            continue
        entry = listed.get(path)
        if entry is None:
            yield f"The manifest does not list {path!r}."
        elif (entry.size, entry.sha256) != (len(data), hashlib.sha256(data).hexdigest()):
            yield f"The manifest has another size or checksum for {path!r}."
    name = package.manifest.name
    needed = (*listed, MANIFEST, "README.md", "pyproject.toml", f"{name}/__init__.py", f"{name}/__main__.py")
    yield from (f"{path!r} is missing." for path in dict.fromkeys(needed) if path not in present)
    if not any(path.startswith("tests/test_") for path in present):
        yield "The package has no tests."
