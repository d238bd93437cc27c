"""What the summary tool promises, as tests that travel with every package that has it."""

from penstock_runner.workflows.building.drafter.library.tools.summary import summarise

TEXT = (
    "The river feeds the turbines. In summer the river is low and the turbines stand still. "
    "The cook is from Bern. When the river is high, the turbines give power to the whole valley."
)


def test_a_summary_keeps_the_sentences_about_the_subject_in_their_order() -> None:
    kept = summarise(TEXT, 2)
    assert len(kept) == 2
    assert all("river" in sentence for sentence in kept)
    assert kept == sorted(kept, key=TEXT.index)


def test_a_short_text_is_its_own_summary() -> None:
    assert summarise("One sentence.") == ["One sentence."]


def test_chinese_is_cut_at_its_own_full_stops() -> None:
    assert summarise("水位高时机组满发。厨师休假。水位低时机组停机。", 2) == [
        "水位高时机组满发。",
        "水位低时机组停机。",
    ]
