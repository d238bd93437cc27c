"""What `penstock up` says of workflow modules that it cannot serve."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock_cli.up import unserved

pytestmark = pytest.mark.anyio


async def test_a_file_of_the_user_that_is_called_like_a_library_hides_no_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rich.py").write_text("raise SystemExit\n")
    (tmp_path / "flows.py").write_text("WORKFLOWS = 3\n")
    monkeypatch.chdir(tmp_path)
    assert await unserved("flows") == [
        f"  ✗ flows: must have WORKFLOWS, a tuple of Workflow ({tmp_path / 'flows.py'})",
        "  All other workflows are served.",
    ]
