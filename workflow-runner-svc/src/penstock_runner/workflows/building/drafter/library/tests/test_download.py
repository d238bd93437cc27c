"""What the download tool promises, as tests that travel with every package that has it."""

import io
from pathlib import Path

import pytest

from penstock_runner.workflows.building.drafter.library.tools.desk import ToolError
from penstock_runner.workflows.building.drafter.library.tools.download import download, file_name


def test_a_file_is_saved_under_the_last_part_of_its_address(tmp_path: Path) -> None:
    saved = download("https://example.com/a/report.txt?x=1", tmp_path, lambda _: io.BytesIO(b"water"))
    assert saved == tmp_path / "report.txt"
    assert saved.read_bytes() == b"water"


def test_a_file_that_is_too_large_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="larger than 4 bytes"):
        download("https://example.com/big", tmp_path, lambda _: io.BytesIO(b"12345"), bytes_max=4)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.com/x", "https:///nohost", "data://x"])
def test_only_web_addresses_are_opened(tmp_path: Path, url: str) -> None:
    with pytest.raises(ToolError, match="https"):
        download(url, tmp_path, lambda _: io.BytesIO(b""))


@pytest.mark.parametrize("path", ["../../etc/passwd", "..%2F..%2Fetc%2Fpasswd", "..", "%00", "a%5C..%5Cb", ""])
def test_a_name_never_leaves_the_folder(path: str) -> None:
    name = file_name(f"https://example.com/{path}")
    assert name
    assert not name.startswith(".")
    assert not {"/", "\\", "\0"} & set(name)


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine", "utf-8")
    with pytest.raises(ToolError, match="already there"):
        download("https://example.com/x", tmp_path, lambda _: io.BytesIO(b"theirs"))


def test_a_broken_connection_is_explained(tmp_path: Path) -> None:
    def refuse(url: str) -> io.BytesIO:
        raise ConnectionRefusedError(url)

    with pytest.raises(ToolError, match="Check the address"):
        download("https://example.com/x", tmp_path, refuse)
