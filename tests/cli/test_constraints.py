"""pip and uv install the same versions: constraints.txt says what uv.lock says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
WORDS = "after a change of pyproject.toml, write both again as CONTRIBUTING.md says"


def read(name: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / name).read_text())


def name_of(requirement: str) -> str:
    return re.split(r"[\[><=;!~ ]", requirement, maxsplit=1)[0]


def test_constraints_and_lock_name_the_same_versions() -> None:
    locked = {(entry["name"], entry["version"]) for entry in read("uv.lock")["package"] if entry["name"] != "penstock"}
    constrained = set()
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        name, _, version = line.partition(";")[0].strip().partition("==")
        constrained.add((name, version))
    assert constrained == locked, WORDS


def test_the_lock_knows_everything_that_the_project_names() -> None:
    project = read("pyproject.toml")
    named = [*project["project"]["dependencies"]]
    for group in (*project["project"]["optional-dependencies"].values(), *project["dependency-groups"].values()):
        named += group
    (locked,) = (entry["metadata"] for entry in read("uv.lock")["package"] if entry["name"] == "penstock")
    known = [*locked["requires-dist"], *(entry for group in locked["requires-dev"].values() for entry in group)]
    assert {name_of(requirement) for requirement in named} == {entry["name"] for entry in known}, WORDS
