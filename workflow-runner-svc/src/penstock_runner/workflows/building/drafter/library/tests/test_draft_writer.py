"""What the draft writer tool promises, as tests that travel with every package that has it."""

import pytest

from penstock_runner.workflows.building.drafter.library.tools.draft_writer import kind_of, write


@pytest.mark.parametrize(
    ("request_text", "kind"),
    [
        ("a short story", "story"),
        ("写一篇广告文案", "advertisement"),
        ("write a mail", "mail"),
        ("about water", "article"),
    ],
)
def test_the_kind_is_read_from_the_request(request_text: str, kind: str) -> None:
    assert kind_of(request_text) == kind


@pytest.mark.parametrize("kind", ["story", "advertisement", "mail", "article"])
def test_every_kind_uses_the_given_words(kind: str) -> None:
    assert "lighthouse" in write(kind, ["lighthouse", "radio", "storm"], chinese=False)
    assert "灯塔" in write(kind, ["灯塔"], chinese=True)


def test_braces_in_the_words_stay_as_they_are() -> None:
    assert "{9}" in write("story", ["{9}"], chinese=False)
