"""pip and uv install the same versions: constraints.txt says what uv.lock says."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_constraints_and_lock_name_the_same_versions() -> None:
    """After `uv lock`, write it again: uv export --frozen --all-extras --all-groups --no-hashes --no-emit-project
    --no-annotate --no-header > constraints.txt"""
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    locked = {(package["name"], package["version"]) for package in packages if package["name"] != "penstock"}
    constrained = set()
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        name, _, version = line.partition(";")[0].strip().partition("==")
        constrained.add((name, version))
    assert constrained == locked
