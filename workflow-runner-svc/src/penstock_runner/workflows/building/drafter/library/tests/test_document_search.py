"""What the document search tool promises, as tests that travel with every package that has it."""

from penstock_runner.workflows.building.drafter.library.tools.document_search import search

DOCUMENTS = {
    "pumps.txt": "The pump runs at night. The pump house is locked. Oil the bearings monthly.",
    "泵站.txt": "水泵在夜间运行。轴承每月加油。",
}


def test_the_best_passage_comes_first_with_its_source() -> None:
    first = search(DOCUMENTS, "when to oil the bearings")[0]
    assert (first.source, first.passage) == ("pumps.txt", "Oil the bearings monthly.")


def test_chinese_questions_find_chinese_passages() -> None:
    assert search(DOCUMENTS, "轴承加油")[0].passage == "轴承每月加油。"


def test_rare_words_count_more_than_common_ones() -> None:
    assert search(DOCUMENTS, "pump locked")[0].passage == "The pump house is locked."


def test_nothing_is_found_where_nothing_matches() -> None:
    assert search(DOCUMENTS, "zebra") == []
    assert search({}, "pump") == []
