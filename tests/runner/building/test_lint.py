"""The linter stops code that goes wrong when it runs, and only tells of code that is untidy."""

from __future__ import annotations

import pytest

from penstock_runner.workflows.building.documents import SourceFile
from penstock_runner.workflows.building.lint import FINDINGS_MAX, REMEMBERED_CHARS_MAX, Findings, lint


def found_in(text: str, path: str = "tool/a.py") -> Findings:
    return lint([SourceFile(path=path, text=text)])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("def area(width):\n    return width * hieght\n", "'tool/a.py', line 2: undefined name 'hieght'."),
        ("__all__ = ['absent']\n", "'tool/a.py', line 1: undefined name 'absent' in __all__."),
        ("def f():\n    print(x)\n    x = 1\n", "'tool/a.py', line 2: undefined name 'x'."),
        ("assert (1, 'always true')\n", "'tool/a.py', line 1: assertion is always true, perhaps remove parentheses?."),
        ("def test_a():\n    pass\ndef test_a():\n    pass\n", "'tool/a.py', line 3: redefinition of unused 'test_a' from line 1."),
        ("print('%s %s' % (1,))\n", "'tool/a.py', line 1: '...' % ... has 2 placeholder(s) but 1 substitution(s)."),
    ],
)  # fmt: skip
def test_code_that_goes_wrong_is_a_fault_with_its_file_and_line(text: str, fault: str) -> None:
    assert found_in(text).faults == (fault,)


@pytest.mark.parametrize(
    "text",
    [
        "import json\n",
        "def f():\n    x = 1\n",
        "print(f'no placeholder')\n",
        "x = 1\ndef f():\n    global x\n    print(x)\n",
    ],
)
def test_untidy_code_is_a_note(text: str) -> None:
    found = found_in(text)
    assert found.faults == ()
    assert len(found.notes) == 1


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    import tomllib\nexcept ImportError:\n    tomllib = None\nprint(tomllib)\n",
        "from __future__ import annotations\ndef f(a: Later) -> Later: return a\nclass Later: pass\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from json import JSONDecoder\ndef f(a: 'JSONDecoder'): pass\n",
        "print(__file__, __name__, __doc__)\n",
    ],
)
def test_sound_code_is_neither(text: str) -> None:
    assert found_in(text) == Findings((), ())


def test_only_python_is_linted_and_the_list_ends_somewhere() -> None:
    assert found_in("undefined_name", "README.md") == Findings((), ())
    assert len(found_in("\n".join(f"name{number}" for number in range(100))).faults) == FINDINGS_MAX


def test_code_that_is_nested_too_deeply_is_a_fault() -> None:
    assert found_in("a = " + "+".join(["1"] * 3000)).faults == ("'tool/a.py': nested too deeply to be checked.",)


def test_what_was_found_once_is_told_of_every_file_under_its_own_path() -> None:
    text = "print(undefined)\n"
    assert [found_in(text, path).faults for path in ("a/b.py", "c/d.py")] == [
        ("'a/b.py', line 1: undefined name 'undefined'.",),
        ("'c/d.py', line 1: undefined name 'undefined'.",),
    ]
    exported = "__all__ = ['submodule']\n"
    assert found_in(exported, "a/__init__.py").faults == ()
    assert len(found_in(exported, "a/b.py").faults) == 1


def test_long_files_are_linted_each_time() -> None:
    text = "x = 1\n" * REMEMBERED_CHARS_MAX + "print(y)\n"
    assert found_in(text).faults == found_in(text).faults
    assert "undefined name 'y'" in found_in(text).faults[0]
