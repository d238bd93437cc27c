"""What each stage of tool_build hands on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from penstock_runner.workflows.building.documents import Document, FileSet, Line, Name, Requirement, TestReport

FUNCTIONS_MAX = 8
PARAMETERS_MAX = 12


class ToolRequirements(Document):
    """requirements_analyzer: what the tool must do; `not_covered` says what it will not."""

    requirements: tuple[Requirement, ...] = Field(min_length=1, max_length=40)
    not_covered: tuple[Line, ...] = Field(default=(), max_length=20)


Simple = Literal["string", "number", "integer", "boolean", "object"]


class Parameter(Document):
    """`type` is one of JSON Schema's; `items` is that of an array's items."""

    name: Name
    type: Simple | Literal["array"]
    items: Simple = "string"
    description: Line
    required: bool = True


class FunctionDesign(Document):
    """`example`: arguments that it can serve, as JSON text."""

    name: Name
    description: Line
    parameters: tuple[Parameter, ...] = Field(max_length=PARAMETERS_MAX)
    returns: Line
    errors: tuple[Line, ...] = Field(default=(), max_length=10)
    example: str = Field(default="{}", max_length=1000)


class ToolDesign(Document):
    """tool_designer: the functions that the package offers; becomes tool.json. The first is what the command line runs."""

    functions: tuple[FunctionDesign, ...] = Field(min_length=1, max_length=FUNCTIONS_MAX)


class ToolCode(FileSet):
    """tool_developer: the tool, its command line and its tests."""


class Validation(Document):
    """tool_validator: what was checked, what the linter found untidy, and what the tool's own tests said."""

    checks: tuple[str, ...]
    notes: tuple[Line, ...] = ()
    tests: TestReport


class ToolReadme(FileSet):
    """tool_documenter: README.md."""
