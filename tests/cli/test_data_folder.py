"""One `penstock` a data folder, and a sentence for whoever comes second or cannot write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock_cli import data_folder
from penstock_cli.data_folder import DataFolder, is_owned, last_lines, owned, rotate
from penstock_cli.refusal import Refusal


def test_a_second_owner_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    with owned(tmp_path / "data") as folder:
        assert is_owned(folder.path)
        with pytest.raises(Refusal, match=rf"process {os.getpid()}\) is running on .*--data"), owned(folder.path):
            pass
    assert not is_owned(folder.path)
    with owned(folder.path):
        pass


def test_a_folder_that_cannot_be_made_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refusal, match=r"cannot be written \(Not a directory\).*--data"), owned(tmp_path / "file" / "x"):
        pass


def test_a_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_folder, "FREE_BYTES_MIN", 1 << 80)
    with pytest.raises(Refusal, match="is full"), owned(tmp_path):
        pass


def test_the_socket_leaves_a_folder_whose_path_is_too_long_for_it() -> None:
    short, long = DataFolder(Path("/data")), DataFolder(Path("/" + "long/" * 30))
    assert short.socket == Path("/data/store.sock")
    assert len(os.fsencode(long.socket)) <= 100
    assert long.socket != DataFolder(long.path / "other").socket


def test_a_log_keeps_its_end_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "api.log"
    rotate(log)
    log.write_text("old\n" + "".join(f"line {number}\n" for number in range(100)))
    assert last_lines(log, 0).splitlines() == [f"line {number}" for number in range(88, 100)]
    assert last_lines(log, log.stat().st_size) == ""
    monkeypatch.setattr(data_folder, "LOG_BYTES_MAX", 100)
    rotate(log)
    assert not log.exists()
    assert (tmp_path / "api.log.1").exists()
