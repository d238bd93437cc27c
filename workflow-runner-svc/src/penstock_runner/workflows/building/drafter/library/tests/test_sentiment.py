"""What the sentiment tool promises, as tests that travel with every package that has it."""

from penstock_runner.workflows.building.drafter.library.tools.sentiment import judge


def test_friendly_and_hostile_texts_are_told_apart() -> None:
    assert judge("A great, friendly place").score == 1
    assert judge("Terrible and slow").score == -1
    assert judge("服务很好，非常满意").score == 1
    assert judge("房间太脏，令人失望").score == -1


def test_not_turns_a_word_around() -> None:
    assert judge("not good").bad == ("not good",)
    assert judge("不好").score == -1


def test_without_words_to_judge_by_the_score_is_zero() -> None:
    assert judge("The table is here").score == 0
