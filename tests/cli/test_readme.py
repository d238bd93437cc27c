"""What the README points at is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_every_file_and_folder_that_the_readme_names_exists() -> None:
    named = re.findall(r"\]\(([^)#:]+)\)", README) + re.findall(r"^\| `([\w/-]+/)` \|", README, re.MULTILINE)
    assert len(named) > 25
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_readme_begins_with_exactly_two_commands() -> None:
    first_block = README.split("```")[1].strip().splitlines()
    assert first_block == ["make demo", "make test"]


def test_every_target_that_make_prints_is_one() -> None:
    makefile = (ROOT / "Makefile").read_text()
    printed = re.findall(r"@echo 'make (\w+)", makefile)
    phony = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split()
    assert ["targets", *printed] == phony
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in phony)
