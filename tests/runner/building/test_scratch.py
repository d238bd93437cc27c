"""Whether generated code has made more than it may is seen at any depth."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from penstock_runner.workflows.building.scratch import holds_more, new_folder


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_files_and_folders_are_counted_at_any_depth_that_can_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = new_folder()
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "c").touch()
    (folder / "a" / "loop").symlink_to(folder)
    assert not holds_more(folder, 4)
    assert holds_more(folder, 3)
    with monkeypatch.context() as inside:
        inside.chdir(folder)
        for _ in range(50):
            Path("x" * 100).mkdir()
            os.chdir("x" * 100)
    assert holds_more(folder, 1000), "beyond the longest path nothing can be counted"
