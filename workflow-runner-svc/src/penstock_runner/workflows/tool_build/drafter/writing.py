"""The documents of a tool that is made of one of the library's."""

from __future__ import annotations

import json
import shlex
from importlib.resources import files
from typing import Any

from penstock_runner.authoring import ProjectInput
from penstock_runner.workflows.building.documents import ProjectPlan, SourceFile
from penstock_runner.workflows.building.drafter import asked
from penstock_runner.workflows.building.drafter.catalog import CARDS, DEFAULT_TOOLS
from penstock_runner.workflows.building.drafter.library.tools import TOOLS
from penstock_runner.workflows.building.drafter.naming import TOOLS as TOOL_ENDINGS
from penstock_runner.workflows.building.drafter.readme import Contents, written
from penstock_runner.workflows.building.drafter.sources import literal, tool_files
from penstock_runner.workflows.building.drafter.wording import wording
from penstock_runner.workflows.building.model import Assignment
from penstock_runner.workflows.tool_build.documents import (
    FunctionDesign,
    Parameter,
    ToolCode,
    ToolDesign,
    ToolReadme,
    ToolRequirements,
)

FUNCTIONS = {
    "summary": "summarise", "document_search": "find_passages", "document_reader": "read_documents",
    "key_points": "sort_points", "table_statistics": "describe_table", "price_quote": "make_quote",
    "download": "download_file", "pii_masking": "mask_personal_data", "draft_writer": "write_draft",
    "sentiment": "judge_sentiment", "log_analysis": "analyse_log", "template_filler": "fill_template",
    "dates": "calculate_dates", "todo": "sort_tasks", "greeting": "greet", "keywords": "find_keywords",
}  # fmt: skip
"""What each of the library's tools is called where functions are called; agents know many at once."""
SAID_MAX = 6


def plan(given: Assignment[Any]) -> ProjectPlan:
    return asked.plan(given, TOOL_ENDINGS)


def requirements(given: Assignment[Any]) -> ToolRequirements:
    project = given.project
    return ToolRequirements(
        requirements=asked.points(project.requirement),
        not_covered=asked.not_covered(project, given.document(ProjectPlan).language),
    )


def design(given: Assignment[Any]) -> ToolDesign:
    language = given.document(ProjectPlan).language
    tool = chosen(given.project)
    function = FunctionDesign(
        name=FUNCTIONS[tool],
        description=CARDS[tool].title(language),
        parameters=(
            Parameter(name="request", type="string", description="what to do, and the text to do it with"),
            Parameter(name="files", type="array", description="paths of files to work on", required=False),
            Parameter(name="folder", type="string", description="where files are saved", required=False),
        ),
        returns="the answer, as text",
        errors=("ToolError: the request cannot be served; its text says what to give instead",),
        example=json.dumps({"request": _example(tool, language)}, ensure_ascii=False),
    )
    return ToolDesign(functions=(function,))


def code(given: Assignment[Any]) -> ToolCode:
    planned = given.document(ProjectPlan)
    package, tool = planned.package, chosen(given.project)
    said = (
        f'("{point.id}", {literal(point.text)}),' for point in given.document(ToolRequirements).requirements[:SAID_MAX]
    )
    names = ["ToolError", *sorted(["describe", FUNCTIONS[tool]])]
    texts = {
        "PACKAGE": package,
        "CHOSEN": tool,
        "FUNCTION": FUNCTIONS[tool],
        "NAMES": ", ".join(names),
        "QUOTED": ", ".join(f'"{name}"' for name in names),
        "SHA256": planned.requirement_sha256,
        "SAID": "\n    ".join(said),
    }
    return ToolCode(
        files=(
            SourceFile(path=f"{package}/__init__.py", text=_filled("init.py", texts)),
            SourceFile(path=f"{package}/__main__.py", text=_filled("main.py", texts)),
            *tool_files([tool], package, package),
            SourceFile(path="tests/test_tool.py", text=_filled("test_tool.py", texts)),
        )
    )


def readme(given: Assignment[Any]) -> ToolReadme:
    planned, analysed = given.document(ProjectPlan), given.document(ToolRequirements)
    tool = chosen(given.project)
    contents = Contents(
        project=given.project,
        plan=planned,
        offers=((FUNCTIONS[tool], CARDS[tool].title(planned.language)),),
        not_covered=analysed.not_covered,
        commands=(f"python -m {planned.package} {shlex.quote(_example(tool, planned.language))}",),
        points=tuple(point.text for point in analysed.requirements if asked.fits(analysed.not_covered)),
        hint=wording(planned.language).calling.format(planned.package, FUNCTIONS[tool]),
    )
    return ToolReadme(files=(SourceFile(path="README.md", text=written(contents)),))


def chosen(project: ProjectInput) -> str:
    """The library's tool that the project asks for most."""
    return next(iter(asked.tools_asked_for(project)), DEFAULT_TOOLS[0])


def _example(tool: str, language: str) -> str:
    english, chinese = map(str, TOOLS[tool].EXAMPLES)
    return chinese if language == "zh" else english


def _filled(name: str, texts: dict[str, str]) -> str:
    """The template, with each word in capitals between dollar signs replaced; what is put in is not looked at again."""
    pieces = files(__package__).joinpath("templates", f"{name}.template").read_text("utf-8").split("$")
    return "".join(texts[piece] if number % 2 else piece for number, piece in enumerate(pieces))
