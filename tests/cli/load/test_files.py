"""What is wrong with the files of a replay is one sentence, and is known before anything is started."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest

from penstock_cli.load.files import TRACE_BYTES_MAX, passing_folder, read_trace, require_writable
from penstock_cli.refusal import Refusal


def refusal(path: Path) -> str:
    with pytest.raises(Refusal) as caught:
        read_trace(path)
    return str(caught.value).replace(str(path), "T")


def test_a_trace_that_cannot_be_used_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    assert refusal(path) == (
        "The trace T cannot be read (No such file or directory): check --trace; without it, observed builds are replayed."
    )
    assert "Is a directory" in refusal(tmp_path)
    path.write_bytes(b"arrival_s,duration_s\n1,\xff\n")
    assert refusal(path) == "The trace T is not UTF-8 in line 2: save it as CSV in UTF-8."
    path.write_text("arrival_s,duration_s\n1,abc\n")
    assert refusal(path) == "The trace T cannot be used: line 2, column duration_s: 'abc' is not a number."
    path.write_bytes(b"x" * (TRACE_BYTES_MAX + 1))
    assert refusal(path) == "The trace T is larger than 4 MB: replay a part of it."


def test_figures_need_a_file_that_can_be_written(tmp_path: Path) -> None:
    require_writable(tmp_path / "new.json")
    for path in (tmp_path, tmp_path / "absent" / "new.json"):
        with pytest.raises(Refusal, match="give --json the name of a file"):
            require_writable(path)


def test_the_folder_goes_with_the_replay() -> None:
    with passing_folder() as folder:
        assert folder.is_dir()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("failure", "logs", "kept"),
    [(Refusal("no"), True, True), (Refusal("no"), False, False), (asyncio.CancelledError(), True, False)],
)
def test_the_folder_stays_only_when_its_logs_say_why_something_failed(
    *, failure: BaseException, logs: bool, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(type(failure)) as caught:
        fail_in_a_folder(failure, logs=logs)
    folders = list(tmp_path.iterdir())
    assert len(folders) == kept
    if kept:
        assert isinstance(caught.value, Refusal)
        assert caught.value.detail == f"The logs are kept in {folders[0] / 'logs'}."


def fail_in_a_folder(failure: BaseException, *, logs: bool) -> None:
    with passing_folder() as folder:
        if logs:
            (folder / "logs").mkdir()
            (folder / "logs" / "api.log").touch()
        raise failure
