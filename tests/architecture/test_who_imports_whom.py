"""The borders between the packages: one distribution has no other fence than these tests."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable

import pytest
from tests.architecture.sources import ROOT, SERVICES, SOURCE_FOLDERS, STANDARD_LIBRARY, Import, Source, parse, sources

LIBRARY_OWNERS = {
    "boto3": ("penstock_backbone.aws",),
    "botocore": ("penstock_backbone.aws",),
    "sqlite3": ("penstock_backbone.embedded", "penstock_backbone.telemetry.span_store"),
}
"""Who may import a client library. A service's own adapters may speak to AWS as well (a model on Bedrock)."""

ENGINES = (
    "penstock_backbone.aws",
    "penstock_backbone.embedded",
    "penstock_backbone.memory",
    "penstock_backbone.engines.open_engine",
)
WIRING = ("bootstrap", "lambdas")
"""Modules that put real parts together: lambdas.py is the bootstrap of the functions."""

EXTRA_OF_PACKAGE = {
    "penstock_events": None,
    "penstock_backbone": "backbone",
    "penstock_api": "api-gateway-svc",
    "penstock_cli": "cli",
    "penstock_orchestrator": "orchestrator-svc",
    "penstock_runner": "workflow-runner-svc",
}

IMPORT_NAMES = {
    "boto3": ("boto3", "botocore"),
    "python-ulid": ("ulid",),
    "opentelemetry-sdk": ("opentelemetry",),
    "opentelemetry-exporter-otlp-proto-http": ("opentelemetry",),
    "aws-lambda-powertools": ("aws_lambda_powertools",),
    "pydantic": ("pydantic", "pydantic_core"),
}
"""Distributions whose import names differ from their own."""


def violations(origin: Iterable[Source], permitted: frozenset[str] | set[str]) -> list[str]:
    """Every import whose top package is neither in the standard library nor permitted."""
    return [
        f"{source.at(found.line)} imports {found.name}"
        for source in origin
        for found in source.imports
        if found.top not in STANDARD_LIBRARY | permitted
    ]


def test_the_event_contract_needs_only_the_standard_library_and_pydantic() -> None:
    assert violations(sources("penstock_events"), {"penstock_events", "pydantic"}) == []


def test_the_backbone_knows_no_service() -> None:
    found = [
        f"{source.at(found.line)} imports {found.name}"
        for source in sources("penstock_backbone")
        for found in source.imports
        if found.top in SERVICES
    ]
    assert found == []


def test_services_never_import_each_other_and_only_the_command_line_sees_them_all() -> None:
    found = [
        f"{source.at(found.line)} imports {found.name}"
        for source in sources(*(service for service in SERVICES if service != "penstock_cli"))
        for found in source.imports
        if found.top in SERVICES and found.top != source.package
    ]
    assert found == []


@pytest.mark.parametrize("library", sorted(LIBRARY_OWNERS))
def test_a_client_library_is_imported_only_by_its_owner(library: str) -> None:
    found = [
        f"{source.at(found.line)} imports {found.name}"
        for source in sources()
        for found in source.imports
        if found.top == library and not _may_import(source, library)
    ]
    assert found == []


def _may_import(source: Source, library: str) -> bool:
    in_adapters = source.package in SERVICES and "adapters" in source.folders
    return source.is_in(*LIBRARY_OWNERS[library]) or (library != "sqlite3" and in_adapters)


def names_an_engine_or_adapter(source: Source, found: Import) -> bool:
    """Whether this import ties a service to one particular engine or to one of its own adapters."""
    return found.is_in(*ENGINES) or found.is_in(f"{source.package}.adapters")


def test_only_bootstrap_names_real_engines_and_adapters() -> None:
    """The command line is no service: it prepares the machine that they run on."""
    found = [
        f"{source.at(found.line)} imports {found.name}"
        for source in sources(*(service for service in SERVICES if service != "penstock_cli"))
        if source.module.rpartition(".")[2] not in WIRING and "adapters" not in source.folders
        for found in source.imports
        if names_an_engine_or_adapter(source, found)
    ]
    assert found == []


def test_engines_do_not_know_each_other() -> None:
    """What they share lives in penstock_backbone.local, and engines.py chooses."""
    homes = {"penstock_backbone.aws", "penstock_backbone.embedded", "penstock_backbone.memory"}
    found = [
        f"{source.at(found.line)} imports {found.name}"
        for home in homes
        for source in sources("penstock_backbone")
        if source.is_in(home)
        for found in source.imports
        if found.is_in(*(homes - {home}))
    ]
    assert found == []


@pytest.mark.parametrize("package", SOURCE_FOLDERS)
def test_a_package_imports_only_what_its_own_extra_installs(package: str) -> None:
    """One development environment would hide a missing dependency until somebody installs a single service."""
    ours = frozenset(SOURCE_FOLDERS)
    assert violations(sources(package), ours | _installed_by(EXTRA_OF_PACKAGE[package])) == []


def _installed_by(extra: str | None) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    waiting = list(project["dependencies"]) + ([f"penstock[{extra}]"] if extra else [])
    names: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        name = requirement.split(";")[0].split(">")[0].split("<")[0].split("=")[0].strip()
        if name.startswith("penstock["):
            for inner in name.removeprefix("penstock[").removesuffix("]").split(","):
                waiting += project["optional-dependencies"][inner]
        else:
            names.update(IMPORT_NAMES.get(name, (name.replace("-", "_"),)))
    return names


def test_the_rules_see_every_form_of_import() -> None:
    text = """
import boto3.session
from penstock_backbone import aws
from .adapters import bedrock
from . import domain
def later():
    from penstock_backbone.memory import MemoryEngine
"""
    source = parse(text, module="penstock_runner.main")
    assert [found.name for found in source.imports] == [
        "boto3.session",
        "penstock_backbone.aws",
        "penstock_runner.adapters.bedrock",
        "penstock_runner.domain",
        "penstock_backbone.memory.MemoryEngine",
    ]
    assert [names_an_engine_or_adapter(source, found) for found in source.imports] == [
        False, True, True, False, True,
    ]  # fmt: skip
