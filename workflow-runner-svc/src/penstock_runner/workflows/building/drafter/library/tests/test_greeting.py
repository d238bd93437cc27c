"""What the greeting tool promises, as tests that travel with every package that has it."""

import pytest

from penstock_runner.workflows.building.drafter.library.tools.greeting import greet, name_in


@pytest.mark.parametrize(
    ("request_text", "name"),
    [
        ("Hi, my name is Ada.", "Ada"),
        ("你好，我叫王芳。", "王芳"),
        ("Bonjour, je m'appelle Zoé", "Zoé"),
        ("hello", None),
    ],
)
def test_a_name_is_found_where_there_is_one(request_text: str, name: str | None) -> None:
    assert name_in(request_text) == name


def test_people_are_greeted_in_their_language() -> None:
    assert greet("Ada", "hello") == "Hello, Ada! How can I help you?"
    assert greet("王芳").startswith("你好，王芳")
    assert greet("Zoé", "bonjour, je m'appelle Zoé") == "Bonjour, Zoé !"


def test_strangers_are_greeted_too() -> None:
    assert greet(None) == "Hello, there! How can I help you?"
    assert greet(None, "你好").startswith("你好，朋友")


def test_braces_in_a_name_stay_as_they_are() -> None:
    assert greet("{0}", "bonjour") == "Bonjour, {0} !"
