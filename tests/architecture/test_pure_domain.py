"""Domain code decides and does nothing else: no I/O, no clock, no chance, no waiting."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from tests.architecture.sources import SERVICES, STANDARD_LIBRARY, Source, parse, sources

PURE_OF_OURS = (
    "penstock_events",
    "penstock_backbone.vocabulary",
    "penstock_backbone.records",
    "penstock_backbone.inventory",
    "penstock_backbone.errors",
    "penstock_backbone.words",
    "penstock_runner.authoring",
)
"""What a domain may import of the product besides itself: values and layouts (what a workflow's author
writes is one too) and words, never a port or an engine."""

IMPURE_MODULES = (
    "asyncio", "concurrent", "fcntl", "ftplib", "getpass", "glob", "http", "importlib", "io", "logging", "mmap",
    "multiprocessing", "os", "pathlib", "platform", "queue", "random", "sched", "secrets", "select", "selectors",
    "shelve", "shutil", "signal", "smtplib", "socket", "socketserver", "sqlite3", "ssl", "subprocess", "sys",
    "tempfile", "threading", "time", "urllib.request", "uuid", "webbrowser", "zoneinfo",
)  # fmt: skip
"""Logging is among them: a domain returns what there is to say, and the handler says it."""

PURE_PARTS = ("pathlib.PurePath", "pathlib.PurePosixPath", "io.BytesIO", "io.StringIO")
"""Parts of those modules that touch nothing outside the process."""

PURE_LIBRARIES = ("msgspec", "pydantic", "pydantic_core", "jsonschema_rs")
"""The last one is told to fetch nothing."""

IMPURE_CALLS = frozenset({"open", "print", "input", "breakpoint", "exec", "eval", "__import__"})
CLOCK_METHODS = frozenset({"now", "utcnow", "today"})


def domain_sources() -> list[Source]:
    return [source for source in sources(*SERVICES) if "domain" in source.folders]


def impurities(source: Source) -> Iterator[str]:
    """Everything in one domain module that reaches outside its arguments."""
    for found in source.imports:
        if found.top.startswith("penstock_") and not found.is_in(*PURE_OF_OURS, _own_domain(source)):
            yield f"{source.at(found.line)} imports {found.name}, which is not a value or a layout"
        elif found.is_in(*IMPURE_MODULES) and found.name not in PURE_PARTS:
            yield f"{source.at(found.line)} imports {found.name}: I/O, a clock or chance"
        elif not _known_pure(found.top):
            yield f"{source.at(found.line)} imports {found.name}, a library with effects of its own"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield f"{source.at(node.lineno)} waits: a decision is a plain function"
        elif isinstance(node, ast.Call) and (name := _impure_call(node.func)):
            yield f"{source.at(node.lineno)} calls {name}"
        elif isinstance(node, ast.Global):
            yield f"{source.at(node.lineno)} keeps state in a module"


def _own_domain(source: Source) -> str:
    return ".".join(source.folders[: source.folders.index("domain") + 1])


def _known_pure(top: str) -> bool:
    return top in STANDARD_LIBRARY or top.startswith("penstock_") or top in PURE_LIBRARIES


def _impure_call(function: ast.expr) -> str | None:
    if isinstance(function, ast.Name) and function.id in IMPURE_CALLS:
        return f"{function.id}()"
    if isinstance(function, ast.Attribute) and function.attr in CLOCK_METHODS and isinstance(function.value, ast.Name):
        owner = function.value.id
        return f"{owner}.{function.attr}()" if owner in ("datetime", "date") else None
    return None


def test_domain_code_reaches_nothing_outside_its_arguments() -> None:
    assert [sentence for source in domain_sources() for sentence in impurities(source)] == []


def test_item_layouts_and_facts_are_as_pure_as_a_domain() -> None:
    """They are read by every domain, so what holds there must hold here."""
    layouts = [source for source in sources("penstock_backbone") if source.is_in("penstock_backbone.records")]
    found = [
        f"{source.at(found.line)} imports {found.name}"
        for source in layouts
        for found in source.imports
        if found.is_in(*IMPURE_MODULES)
    ]
    assert layouts
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "import asyncio",
        "import time",
        "from time import monotonic",
        "from random import random",
        "import uuid",
        "import sqlite3",
        "import os.path",
        "from pathlib import Path",
        "import logging",
        "import boto3",
        "import litestar",
        "from penstock_backbone.ports import Tables",
        "from penstock_backbone.system import SystemClock",
        "from penstock_example.handlers import claim",
        "from datetime import datetime\nat = datetime.now()",
        "from datetime import date\nat = date.today()",
        "text = open('file').read()",
        "async def decide(): ...",
        "count = 0\ndef more():\n    global count\n    count += 1",
    ],
)
def test_the_rule_notices(text: str) -> None:
    assert list(impurities(parse(text, module="penstock_example.domain.decision")))


@pytest.mark.parametrize(
    "text",
    [
        "from datetime import datetime, timedelta",
        "import json, heapq, hashlib",
        "from pathlib import PurePosixPath",
        "from penstock_backbone.records.runs import RunItem",
        "from penstock_events.facts import Fact",
        "from penstock_example.domain.order import fair",
        "def decide(now: int) -> int:\n    return now + 1",
    ],
)
def test_the_rule_permits(text: str) -> None:
    assert list(impurities(parse(text, module="penstock_example.domain.decision"))) == []
