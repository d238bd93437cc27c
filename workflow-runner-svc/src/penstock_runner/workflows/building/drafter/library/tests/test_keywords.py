"""What the keywords tool promises, as tests that travel with every package that has it."""

from penstock_runner.workflows.building.drafter.library.tools.keywords import extract


def test_the_most_frequent_word_comes_first() -> None:
    assert extract("Solar panels and solar roofs and a battery")[0] == "solar"


def test_stop_words_are_never_keywords() -> None:
    assert extract("the and with would should") == []


def test_chinese_phrases_are_found_between_function_words() -> None:
    assert extract("水泵的维护和水泵的更换")[0] == "水泵"


def test_there_are_never_more_keywords_than_asked_for() -> None:
    assert len(extract(" ".join(f"word{chr(97 + n)}" for n in range(20)), 5)) == 5
