"""What the key points tool promises, as tests that travel with every package that has it."""

from penstock_runner.workflows.building.drafter.library.tools.key_points import sort_points


def test_sentences_are_sorted_into_points_risks_and_actions() -> None:
    found = sort_points("Sales grew. There is a risk of delay. We should hire two people.")
    assert found.points == ("Sales grew.",)
    assert found.risks == ("There is a risk of delay.",)
    assert found.actions == ("We should hire two people.",)


def test_chinese_sentences_are_sorted_too() -> None:
    found = sort_points("销售增长。存在断供风险。建议增加供应商。")
    assert (found.points, found.risks, found.actions) == (("销售增长。",), ("存在断供风险。",), ("建议增加供应商。",))
