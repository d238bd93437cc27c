"""Reads the product's sources as syntax trees, so that the architecture can be tested without importing anything."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SOURCE_FOLDERS = {
    "penstock_events": "events/src",
    "penstock_backbone": "events/src",
    "penstock_api": "api-gateway-svc/src",
    "penstock_cli": "api-gateway-svc/src",
    "penstock_orchestrator": "orchestrator-svc/src",
    "penstock_runner": "workflow-runner-svc/src",
}
"""Every package of the product, and the folder that holds it."""

STANDARD_LIBRARY = frozenset(sys.stdlib_module_names)

SERVICES = ("penstock_api", "penstock_cli", "penstock_orchestrator", "penstock_runner")


@dataclass(frozen=True)
class Import:
    """One imported name with all its dots: `from a import b` is `a.b`."""

    name: str
    line: int

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]

    def is_in(self, *packages: str) -> bool:
        return any(self.name == package or self.name.startswith(package + ".") for package in packages)


@dataclass(frozen=True)
class Source:
    """One file of a package; `module` is its dotted name (a package's own name for its __init__)."""

    path: Path
    module: str
    is_package: bool
    tree: ast.Module

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]

    @property
    def folders(self) -> tuple[str, ...]:
        """The names of the packages around this module, outermost first."""
        parts = tuple(self.module.split("."))
        return parts if self.is_package else parts[:-1]

    def is_in(self, *packages: str) -> bool:
        return any(self.module == package or self.module.startswith(package + ".") for package in packages)

    def at(self, line: int) -> str:
        return f"{self.path.relative_to(ROOT)}:{line}"

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """All of them, also those inside functions and under TYPE_CHECKING."""
        return tuple(self._imports())

    def _imports(self) -> Iterator[Import]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(alias.name, node.lineno)
            elif isinstance(node, ast.ImportFrom):
                origin = self._origin(node)
                for alias in node.names:
                    yield Import(f"{origin}.{alias.name}", node.lineno)

    def _origin(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        above = self.folders[: len(self.folders) - node.level + 1]
        return ".".join([*above, *([node.module] if node.module else [])])


def sources(*packages: str) -> tuple[Source, ...]:
    """The files of these packages (of all, when none is named)."""
    return tuple(source for package in packages or SOURCE_FOLDERS for source in _of(package))


@cache
def _of(package: str) -> tuple[Source, ...]:
    return tuple(_read(package, path) for path in _files(package))


def parse(text: str, module: str = "penstock_example.module") -> Source:
    """A source that is no file: for testing the rules themselves."""
    return Source(ROOT / "example.py", module, is_package=False, tree=ast.parse(text))


def _files(package: str) -> list[Path]:
    return sorted((ROOT / SOURCE_FOLDERS[package] / package).rglob("*.py"))


def _read(package: str, path: Path) -> Source:
    relative = path.relative_to(ROOT / SOURCE_FOLDERS[package]).with_suffix("")
    is_package = relative.name == "__init__"
    parts = relative.parts[:-1] if is_package else relative.parts
    assert parts[0] == package
    return Source(path, ".".join(parts), is_package, ast.parse(path.read_text(encoding="utf-8"), str(path)))
