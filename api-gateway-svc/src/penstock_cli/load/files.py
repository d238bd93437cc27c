"""The files of a replay: the trace it reads, the figures it writes, and the data folder that goes with it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from penstock_cli.load.domain.trace import Trace, UnusableTrace, parse
from penstock_cli.refusal import Refusal
from penstock_runner.workflows.replay import STAGES_MAX

OBSERVED = Path(__file__).with_name("traces") / "observed_builds.csv"
"""36 builds of agents that were observed over four months."""
TRACE_BYTES_MAX = 4 * 1024 * 1024


def read_trace(path: Path) -> Trace:
    """Raises Refusal with the line and the column of the first mistake."""
    try:
        with path.open("rb") as file:
            content = file.read(TRACE_BYTES_MAX + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise Refusal(
            f"The trace {path} cannot be read ({reason}): check --trace; without it, observed builds are replayed."
        ) from error
    if len(content) > TRACE_BYTES_MAX:
        raise Refusal(f"The trace {path} is larger than {TRACE_BYTES_MAX // 1024 // 1024} MB: replay a part of it.")
    try:
        return parse(content.decode(), STAGES_MAX)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise Refusal(f"The trace {path} is not UTF-8 in line {line}: save it as CSV in UTF-8.") from error
    except UnusableTrace as mistake:
        raise Refusal(f"The trace {path} cannot be used: {mistake}") from mistake


def require_writable(path: Path) -> None:
    """Refusal unless the figures can be written there: known before a replay, not after it."""
    folder = path.absolute().parent
    if path.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
        raise Refusal(f"The file {path} cannot be written: give --json the name of a file in a folder that can be.")


def write_figures(path: Path, figures: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextlib.contextmanager
def passing_folder() -> Iterator[Path]:
    """A new folder that goes in the end, unless a Refusal leaves logs in it that say why."""
    path = Path(tempfile.mkdtemp(prefix="penstock-load-"))
    keep = False
    try:
        yield path
    except Refusal as refusal:
        logs = path / "logs"
        keep = any(logs.glob("*.log"))
        if not keep:
            raise
        raise Refusal(str(refusal), f"{refusal.detail}\nThe logs are kept in {logs}.".strip()) from refusal
    finally:
        if not keep:
            shutil.rmtree(path, ignore_errors=True)
