"""The library's own modules as source text, renamed for the package they go into."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files

from penstock_runner.workflows.building.documents import SourceFile
from penstock_runner.workflows.building.drafter import library
from penstock_runner.workflows.building.drafter.library.tools import TOOLS

_PLACE = re.compile(rf"\b{re.escape(library.__name__)}\b")
_TOOLS_PLACE = re.compile(rf"\b{re.escape(library.__name__)}\.tools\b")
# Tools that call others need their sources too.
_NEEDS = {"key_points": ("summary",), "draft_writer": ("keywords",)}


@cache
def _source(path: str) -> str:
    return files(library).joinpath(*path.split("/")).read_text("utf-8")


def source(path: str, package: str) -> str:
    """The library's file, importing from `package` what it imports from the library."""
    return _PLACE.sub(package, _source(path))


def tool_files(tools: Sequence[str], package: str, folder: str) -> tuple[SourceFile, ...]:
    """The sources of tools, of what they call, and their tests. `folder`: where the package keeps them; it may be the
    package's own."""
    needed = dict.fromkeys(["text", "desk", *tools, *(need for name in tools for need in _NEEDS.get(name, ()))])
    place = folder.replace("/", ".")

    def file(path: str, name: str) -> SourceFile:
        return SourceFile(path=path, text=_PLACE.sub(package, _TOOLS_PLACE.sub(place, _source(name))))

    return (
        *(file(f"{folder}/{name}.py", f"tools/{name}.py") for name in needed),
        *(file(f"tests/test_{name}.py", f"tests/test_{name}.py") for name in needed if name in TOOLS),
    )


def registry(tools: Iterable[str]) -> str:
    """tools/__init__.py for these tools, in this order: the library's own is made in the same way."""
    names = tuple(tools)
    head, _, rest = _source("tools/__init__.py").partition("from . import (")
    imports = "".join(f"    {name},\n" for name in sorted(names))
    entries = "".join(f'    "{name}": {name},\n' for name in names)
    declaration = re.search(r"^TOOLS: .* = \{\n", rest, re.MULTILINE)
    assert declaration is not None
    return f"{head}from . import (\n{imports})\n\n{declaration.group()}{entries}}}\n"


def literal(text: str) -> str:
    """A Python literal that is always valid: repr escapes whatever cannot be printed; double quotes where possible."""
    shown = repr(text)
    return f'"{shown[1:-1]}"' if shown[0] == "'" and '"' not in shown and "\\'" not in shown else shown
