"""Workflow modules are found by name; one that is broken is explained, and the others are served."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.runner.rig import registry
from tests.runner.stages import in_a_row, stage, workflow

from penstock_runner.registry import Registry, installed_modules, load, module_names

GOOD = """
from penstock_runner.authoring import Stage, Workflow
from pydantic import BaseModel

class Word(BaseModel):
    text: str = ""

async def work(context):
    return Word()

WORKFLOWS = (Workflow("{name}", version="1", stages=(Stage("only", work, output=Word),)),)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_names_stand_between_commas() -> None:
    assert module_names(" a.b, c ,,d") == ("a.b", "c", "d")
    assert module_names("") == ()


def test_a_module_that_cannot_be_imported_does_not_take_the_others_with_it(folder: Path) -> None:
    (folder / "wf_good.py").write_text(GOOD.format(name="good"))
    (folder / "wf_syntax.py").write_text("x = 1\ndef broken(:\n")
    (folder / "wf_raises.py").write_text("def fail():\n    raise ValueError('no key')\n\nfail()\n")
    (folder / "wf_exits.py").write_text("import sys\nsys.exit(2)\n")
    (folder / "wf_imports.py").write_text("\nimport there_is_no_such_thing\n")
    loaded = load((), ["wf_syntax", "wf_raises", "wf_exits", "wf_imports", "wf_absent", "wf_good"])
    assert [plan.workflow.name for plan in loaded.registry.newest()] == ["good"]
    syntax, raises, exits, imports, absent = loaded.problems
    assert syntax.startswith(f"wf_syntax: could not be loaded ({folder}/wf_syntax.py, line 2): SyntaxError")
    assert raises == f"wf_raises: could not be loaded ({folder}/wf_raises.py, line 2): ValueError: no key"
    assert f"({folder}/wf_exits.py, line 2): SystemExit" in exits
    assert f"({folder}/wf_imports.py, line 2): ModuleNotFoundError" in imports
    assert absent.startswith("wf_absent: could not be loaded (no such module): ModuleNotFoundError")


def test_a_module_without_workflows_and_a_bad_workflow_are_explained(folder: Path) -> None:
    (folder / "wf_empty.py").write_text("WORKFLOW = 1\n")
    (folder / "wf_named_badly.py").write_text(GOOD.format(name="Bad Name"))
    (folder / "wf_strange.py").write_text("WORKFLOWS = (1, None)\n")
    loaded = load((), ["wf_empty", "wf_named_badly", "wf_strange"])
    assert loaded.registry.newest() == []
    assert loaded.problems == [
        f"wf_empty: must have WORKFLOWS, a tuple of Workflow ({folder}/wf_empty.py)",
        f"wf_named_badly: workflow 'Bad Name': its name must match [a-z][a-z0-9_]{{0,39}} ({folder}/wf_named_badly.py, line 11)",
        "wf_strange: 1 is not a Workflow",
        "wf_strange: None is not a Workflow",
    ]


def test_built_in_workflows_are_served_beside_those_of_modules(folder: Path) -> None:
    (folder / "wf_more.py").write_text(GOOD.format(name="more"))
    loaded = load([in_a_row(2)], ["wf_more", "wf_more"])
    assert [plan.workflow.name for plan in loaded.registry.newest()] == ["sample", "more"]
    assert loaded.problems == []


def test_an_older_version_is_served_to_runs_that_began_with_it() -> None:
    old, new = workflow(stage("a"), version="1"), workflow(stage("b"), version="2")
    found = registry(old, new)
    assert [plan.workflow for plan in found.newest()] == [new]
    assert (plan := found.find("sample", None)) is not None
    assert plan.workflow is new
    assert (plan := found.find("sample", "1")) is not None
    assert plan.workflow is old
    assert found.find("sample", "3") is None
    assert found.find("other", None) is None


def test_the_same_version_twice_is_a_problem() -> None:
    found = Registry()
    assert found.add(in_a_row(1)) is None
    problem = found.add(in_a_row(2))
    assert problem is not None
    assert problem.sentence == "workflow sample: version 1 is listed twice"


HEAD = """
from penstock_runner.authoring import Stage, Workflow
from pydantic import BaseModel

class Word(BaseModel):
    text: str = ""

class Handle(BaseModel, arbitrary_types_allowed=True):
    lock: object = None
    call: type(lambda: None) = None

async def work(context):
    return Word()

"""
FAULTY = {
    "cycle": (
        ('a = Stage("a", work, Word, needs=("b",))\nb = Stage("b", work, Word, needs=("a",))\n'
        'WORKFLOWS = (Workflow("w", "1", (a, b)),)\n'),
        "workflow w: the stages a, b wait for each other, so none of them could ever start", 17,
    ),
    "unknown_need": (
        'WORKFLOWS = (Workflow("w", "1", (\n    Stage("a", work, Word),\n    Stage("b", work, Word, needs=("c",)),\n)),)\n',
        "workflow w, stage b: it needs 'c', and no stage has that name", 17,
    ),
    "same_name": (
        'a = Stage("a", work, Word)\nagain = Stage("a", work, Word)\nWORKFLOWS = (Workflow("w", "1", (a, again)),)\n',
        "workflow w, stage a: another stage has the same name", 16,
    ),
    "no_json": (
        'WORKFLOWS = (Workflow("w", "1", (Stage("a", work, Handle),)),)\n',
        "workflow w, stage a: its output Handle cannot be written as JSON:", 15,
    ),
    "attempts_in_words": (
        'WORKFLOWS = (Workflow("w", "1", (\n    Stage("a", work, Word, attempts_max="3"),\n)),)\n',
        "workflow w, stage a: attempts_max is '3', and must be a whole number", 16,
    ),
    "half_an_attempt": (
        'WORKFLOWS = (Workflow("w", "1", (Stage("a", work, Word, at_once=2.5),)),)\n',
        "workflow w, stage a: at_once is 2.5, and must be a whole number", 15,
    ),
    "no_time": (
        'WORKFLOWS = (Workflow("w", "1", (Stage("a", work, Word, timeout_seconds=None),)),)\n',
        "workflow w, stage a: timeout_seconds is None, and must be a number", 15,
    ),
    "run_time_in_words": (
        'WORKFLOWS = (Workflow("w", "1", (Stage("a", work, Word),), timeout_seconds="1 h"),)\n',
        "workflow w: timeout_seconds is '1 h', and must be a number", 15,
    ),
    "title": (
        'WORKFLOWS = (Workflow("w", "1", (Stage("a", work, Word, title=5),)),)\n',
        "workflow w, stage a: its title must be text of up to 100 characters", 15,
    ),
    "long_title": (
        'WORKFLOWS = (Workflow("w", "1", (Stage("a", work, Word, title="x" * 101),)),)\n',
        "workflow w, stage a: its title must be text of up to 100 characters", 15,
    ),
    "each": (
        'WORKFLOWS = (Workflow("w", "1", (Stage("a", work, Word, each=5),)),)\n',
        'workflow w, stage a: each is 5, and must be "stage.field" with the name of a stage', 15,
    ),
    "needs_a_number": (
        'WORKFLOWS = (Workflow("w", "1", (Stage("a", work, Word, needs=5),)),)\n',
        "workflow w, stage a: needs must be a tuple of names, not 5", 15,
    ),
    "schema": (
        ('class Odd(BaseModel):\n    @classmethod\n    def __get_pydantic_json_schema__(cls, core, handler):\n'
        '        raise KeyError("oops")\n'
        'WORKFLOWS = (Workflow("w", "1", (Stage("a", work, Odd),)),)\n'),
        "workflow w, stage a: its output Odd cannot be written as JSON: KeyError: 'oops'", 19,
    ),
}  # fmt: skip
"""Each with its sentence and the line that is at fault."""


@pytest.mark.parametrize("fault", sorted(FAULTY))
def test_a_mistake_is_told_with_its_file_and_line_and_the_other_workflows_are_served(folder: Path, fault: str) -> None:
    text, sentence, line = FAULTY[fault]
    (folder / f"wf_{fault}.py").write_text(HEAD + text)
    (folder / f"wf_beside_{fault}.py").write_text(GOOD.format(name="good"))
    loaded = load((), [f"wf_{fault}", f"wf_beside_{fault}"])
    assert [plan.workflow.name for plan in loaded.registry.newest()] == ["good"]
    (problem,) = loaded.problems
    assert problem.startswith(f"wf_{fault}: {sentence}")
    assert problem.endswith(f"({folder}/wf_{fault}.py, line {line})")


def test_a_module_that_is_no_file_and_one_that_panics_take_no_others_with_them(folder: Path) -> None:
    (folder / "wf_panics.py").write_text("class Panic(BaseException): ...\nraise Panic('at a bad moment')\n")
    (folder / "wf_fine.py").write_text(GOOD.format(name="fine"))
    loaded = load((), ["time", "wf_panics", "wf_fine"])
    assert [plan.workflow.name for plan in loaded.registry.newest()] == ["fine"]
    assert loaded.problems == [
        "time: must have WORKFLOWS, a tuple of Workflow",
        f"wf_panics: could not be loaded ({folder}/wf_panics.py, line 2): Panic: at a bad moment",
    ]


@pytest.mark.parametrize("name", ["flows/digest.py", "./flows/digest"])
def test_a_file_in_place_of_a_module_is_told_its_name(name: str) -> None:
    assert load((), [name]).problems == [f"{name}: is a file: name the module as an import does, flows.digest"]


def test_an_installed_package_names_its_workflow_modules_in_its_entry_points(folder: Path) -> None:
    (folder / "wf_installed.py").write_text(GOOD.format(name="installed"))
    metadata = folder / "some_package-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: some-package\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[penstock.workflows]\nmine = wf_installed\n")
    assert "wf_installed" in installed_modules()
    assert [plan.workflow.name for plan in load((), installed_modules()).registry.newest()] == ["installed"]
