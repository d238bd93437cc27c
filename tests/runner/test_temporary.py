"""Nothing is left of temporary folders: neither of what a stage made of them, nor of a runner that was killed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock_runner.temporary import ABANDONED_MAX, PATH_BYTES_MAX, PREFIX, own_folder, remove, remove_abandoned


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Its path is short, as that of a system's is."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


DEPTH = 2200
"""More than a path has room for (4,096 characters), and than Python calls functions in functions (1,000)."""


def test_a_folder_of_any_depth_is_removed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(tempfile.mkdtemp())
    with monkeypatch.context() as inside:
        inside.chdir(folder)
        for number in range(DEPTH):
            Path("a").mkdir()
            Path("1").write_text(str(number))
            os.chdir("a")
    remove(folder)
    assert list(place.iterdir()) == []


def test_folders_that_may_not_be_read_links_and_many_files_are_removed(place: Path) -> None:
    outside = place / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    folder = Path(tempfile.mkdtemp())
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


def test_a_folder_that_cannot_be_removed_is_told_in_the_log_and_one_that_is_gone_is_not(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    remove(place / "never")
    assert caplog.text == ""
    (place / "file").touch()
    remove(place / "file")
    assert "cannot be removed whole" in caplog.text


def test_a_link_in_place_of_a_folder_is_not_followed(place: Path) -> None:
    (place / "outside").mkdir()
    (place / "outside" / "kept").touch()
    (place / "link").symlink_to(place / "outside")
    remove(place / "link")
    assert (place / "outside" / "kept").exists()


def test_one_folder_is_removed_by_many_at_once(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = Path(tempfile.mkdtemp())
    for number in range(200):
        (folder / str(number)).mkdir()
    threads = [threading.Thread(target=remove, args=(folder,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (list(place.iterdir()), caplog.text) == ([], "")


def test_all_that_is_temporary_is_made_in_the_own_folder_and_goes_with_it(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", "told")
    ask = [sys.executable, "-c", "import tempfile; print(tempfile.mkdtemp(), end='')"]
    with own_folder() as found:
        (folder,) = place.iterdir()
        assert found == place
        assert Path(tempfile.mkdtemp()).parent == folder
        assert Path(subprocess.run(ask, capture_output=True, text=True, check=True).stdout).parent == folder
    assert (list(place.iterdir()), tempfile.gettempdir(), os.environ["TMPDIR"]) == ([], str(place), "told")


@pytest.mark.parametrize("name", ["not there", "n" * PATH_BYTES_MAX])
def test_where_no_folder_can_be_made_that_is_of_use_all_is_as_without(
    place: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """In one with a long path multiprocessing could make no socket."""
    (place / ("n" * PATH_BYTES_MAX)).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place / name))
    with own_folder():
        assert tempfile.gettempdir() == str(place / name)
    assert list((place / ("n" * PATH_BYTES_MAX)).iterdir()) == []


def test_what_a_killed_runner_has_left_is_removed_and_what_a_live_one_uses_or_others_have_made_is_not(
    place: Path,
) -> None:
    left, others = place / f"{PREFIX}left", place / "others"
    for path in (left, others):
        (path / "a").mkdir(parents=True)
    (place / f"{PREFIX}file").touch()
    (place / f"{PREFIX}link").symlink_to(others)
    with own_folder():
        before = {*place.iterdir()}
        remove_abandoned(place)
        assert before - {*place.iterdir()} == {left}
        assert (others / "a").exists()


def test_no_start_looks_at_more_than_so_many_folders(place: Path) -> None:
    for number in range(ABANDONED_MAX + 20):
        (place / f"{PREFIX}{number}").mkdir()
    remove_abandoned(place)
    assert len(list(place.iterdir())) == 20
    remove_abandoned(place)
    assert list(place.iterdir()) == []
