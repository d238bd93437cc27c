"""What the template filler tool promises, as tests that travel with every package that has it."""

from pathlib import Path

import pytest

from penstock_runner.workflows.building.drafter.library.tools.desk import Desk, ToolError
from penstock_runner.workflows.building.drafter.library.tools.template_filler import answer, blanks, fill


def test_blanks_are_filled() -> None:
    assert fill("Dear {{name}}, {{ name }}!", {"name": "王芳"}) == "Dear 王芳, 王芳!"


def test_a_missing_value_is_named() -> None:
    with pytest.raises(ToolError, match="order"):
        fill("{{name}} {{order}}", {"name": "Ada"})


def test_a_value_is_never_read_as_a_template() -> None:
    assert fill("{{a}}", {"a": "{{b}} \\1"}) == "{{b}} \\1"


def test_blanks_are_listed_once_each() -> None:
    assert blanks("{{b}} {{a}} {{b}} {c} {{}}") == ["b", "a"]


def test_a_template_file_takes_its_values_from_the_request(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Hello {{name}}", "utf-8")
    assert answer("fill it\nname = Ada", Desk(files=(path,))) == "Hello Ada"
