"""The type checker skips what the program does not use of the provider, so it must not skip what it does use."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def used(tree: ast.Module) -> set[str]:
    """Modules of the provider; a function of the provider stands in a module of its name, without _output."""
    found = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "aws"
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "pulumi_aws":
            found |= {name.name for name in node.names}
    return {f"pulumi_aws.{name.removesuffix('_output')}" for name in found}


def checked() -> set[str]:
    overrides = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["overrides"]
    (followed,) = (each["module"] for each in overrides if each["follow_imports"] == "normal")
    return {name.removesuffix(".*") for name in followed}


def test_every_module_of_the_provider_that_is_used_is_checked() -> None:
    trees = [ast.parse(path.read_text()) for path in (ROOT / "infra/pulumi").rglob("*.py")]
    found = set().union(*map(used, trees))
    assert "pulumi_aws.dynamodb" in found
    assert found - checked() == set()
