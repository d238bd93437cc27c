"""What the document reader tool promises, as tests that travel with every package that has it."""

import zipfile
from pathlib import Path

import pytest

from penstock_runner.workflows.building.drafter.library.tools.desk import ToolError
from penstock_runner.workflows.building.drafter.library.tools.document_reader import read


def test_markdown_gives_its_headings(tmp_path: Path) -> None:
    path = tmp_path / "notes.md"
    path.write_text("# 会议 Minutes\n\ntext\n## Next", "utf-8")
    assert read(path).parts == ("会议 Minutes", "Next")


def test_csv_gives_its_columns_and_json_its_keys(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("city,visitors\nBern,1\n", "utf-8")
    data = tmp_path / "d.json"
    data.write_text('{"name": "pump", "age": 3}', "utf-8")
    assert read(table).parts == ("city", "visitors")
    assert read(data).parts == ("name", "age")


def test_a_word_file_gives_its_paragraphs(tmp_path: Path) -> None:
    path = tmp_path / "letter.docx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "word/document.xml", "<w:p><w:r><w:t>Dear</w:t><w:t> Ada</w:t></w:r></w:p><w:p ><w:t>Bye</w:t></w:p>"
        )
    assert read(path).text == "Dear Ada\nBye"


def test_html_gives_its_text_without_scripts(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("<p>Rain &amp; sun</p><script>alert(1)</script>", "utf-8")
    assert read(path).text == "Rain & sun"


@pytest.mark.parametrize("name", ["scan.pdf", "program.exe"])
def test_an_unreadable_kind_says_what_to_do(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"%PDF")
    with pytest.raises(ToolError, match="Convert it"):
        read(path)


def test_broken_files_are_told_apart_from_empty_ones(tmp_path: Path) -> None:
    broken = tmp_path / "broken.docx"
    broken.write_bytes(b"no zip")
    with pytest.raises(ToolError, match="Word"):
        read(broken)
    with pytest.raises(ToolError, match="Cannot read"):
        read(tmp_path / "absent.txt")
