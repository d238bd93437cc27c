"""Nothing is left of a folder that generated code has had, and nothing of those whose runner was killed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from penstock_runner.workflows.building.scratch import (
    ABANDONED_SECONDS,
    PREFIX,
    holds_more,
    new_folder,
    remove,
    remove_abandoned,
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_of_any_depth_is_removed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = new_folder()
    with monkeypatch.context() as inside:
        inside.chdir(folder)
        for number in range(3000):
            Path("a").mkdir()
            Path("1").write_text(str(number))
            os.chdir("a")
    remove(folder)
    assert list(place.iterdir()) == []


def test_folders_that_may_not_be_read_links_and_many_files_are_removed(place: Path) -> None:
    outside = place / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    folder = new_folder()
    (folder / "link").symlink_to(outside)
    (folder / "1").mkdir()
    (folder / "1" / "2").mkdir()
    (folder / "1" / "2" / "link").symlink_to(outside / "kept")
    for number in range(2500):
        (folder / "1" / f"{number}.txt").touch()
    for path in (folder / "1" / "2", folder / "1"):
        path.chmod(0o000)
    remove(folder)
    assert [path.name for path in place.iterdir()] == ["outside"]
    assert (outside / "kept").exists()


def test_what_a_killed_runner_has_left_is_removed_by_the_next_and_what_another_uses_is_not(place: Path) -> None:
    left, used, foreign = new_folder(), new_folder(), place / f"{PREFIX}file"
    (left / "a").mkdir()
    foreign.touch()
    for path in (left, foreign):
        os.utime(path, (0, path.stat().st_mtime - ABANDONED_SECONDS - 10))
    mine = new_folder()
    remove_abandoned(mine)
    assert set(place.iterdir()) == {used, foreign, mine}


def test_a_folder_that_cannot_be_removed_is_told_in_the_log(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    remove(place / "never")
    assert "cannot be removed whole" in caplog.text


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
