"""Messages are grouped within SQS's and EventBridge's limits, and every one gets its own answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_backbone.aws.batches import Sized, answers, batches
from penstock_backbone.errors import Fatal, Retryable
from penstock_backbone.vocabulary import NotNow


@given(st.lists(st.integers(0, 100), max_size=60))
def test_every_message_is_in_one_group_in_order_and_no_group_is_over_a_limit(sizes: list[int]) -> None:
    groups = batches([Sized(place, size) for place, size in enumerate(sizes)], count_max=10, bytes_max=100)
    assert [place for group in groups for place in group] == list(range(len(sizes)))
    assert all(1 <= len(group) <= 10 and sum(sizes[place] for place in group) <= 100 for group in groups)


def test_a_group_that_failed_gives_its_reason_to_each_of_its_messages() -> None:
    found = dict(answers([[0, 2], [3]], [[None, "too slow"], Retryable("lost")]))
    assert found == {0: None, 2: "too slow", 3: "lost"}
    assert isinstance(found[3], NotNow), "and it passes"


def test_an_outage_is_raised_and_not_told_message_by_message() -> None:
    with pytest.raises(Retryable, match="lost"):
        dict(answers([[0], [1]], [Retryable("lost"), Retryable("lost")]))


def test_missing_rights_are_raised_even_when_other_groups_went_out() -> None:
    with pytest.raises(Fatal, match="not permitted"):
        dict(answers([[0], [1]], [[None], Fatal("not permitted")]))
