"""What a requirement says: its language, its sentences, its title; and text made safe to print."""

from __future__ import annotations

import re

from penstock_runner.workflows.building.drafter.library.tools.text import sentences

POINTS_MAX = 10
POINT_CHARS_MAX = 200
TITLE_CHARS_MAX = 80

# Control characters, and those that change the direction of what follows: a file that shows them can lie.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ufff9-\uffff]"
)
_LINE_END = re.compile("\r\n?|[\x85\u2028\u2029]")
_WORD = re.compile(r"[a-záéíóúüñàâçèêëîïôùûäöß]+")
_CLAUSE_END = re.compile(r"(?<=\w{4})[，。；：！？]|(?<=\w{4})[,;:.!?](?:\s|$)")
_LEAD_IN = re.compile(
    r"(?:please )?(?:(?:(?:i|we) (?:want|need|would like)|build|create|make|develop|write)(?: me| us)? )?"
    r"an? (?:[\w-]+ ){0,3}?(?:agent|assistant|bot|chatbot|tool)(?: that| which| to) (?=\w)",
    re.IGNORECASE,
)
"""What a title need not say. Of bounded length, so that matching it takes no time."""
_MEANT_SIGNS = re.compile(r"\w")

# Words so frequent that two of them in a requirement tell its language.
_FUNCTION_WORDS = {
    "en": "the a an that and for with to of my which can from is are it i want need build create make",
    "es": "el la los las un una que de del para con por y en crear necesito quiero mi puede como",
    "fr": "le la les un une des du que qui de pour avec et dans créer je veux besoin mon peut sur",
    "de": "der die das ein eine einen und für mit von zu den ich möchte erstelle kann aus auf mein brauche",
}
_FUNCTION_WORD_SETS = {language: frozenset(words.split()) for language, words in _FUNCTION_WORDS.items()}
_SCRIPTS = (
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("ko", re.compile("[\uac00-\ud7af]")),
    ("zh", re.compile("[\u3400-\u9fff]")),
    ("ru", re.compile("[\u0400-\u04ff]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
    ("hi", re.compile("[\u0900-\u097f]")),
    ("el", re.compile("[\u0370-\u03ff]")),
    ("he", re.compile("[\u0590-\u05ff]")),
    ("th", re.compile("[\u0e00-\u0e7f]")),
)
_LATIN = re.compile("[A-Za-z]")


def readable(text: str) -> str:
    """The text with one kind of line end and nothing that cannot be shown."""
    return _UNPRINTABLE.sub("", _LINE_END.sub("\n", text))


def language_of(text: str) -> str:
    """A two-letter code; "en" where nothing tells otherwise.

    A character of another script weighs as much as three Latin letters: Chinese requirements are full of
    English product names, English ones hold no Chinese by chance. Kana decides for Japanese over Chinese.
    """
    weights = {language: len(script.findall(text)) for language, script in _SCRIPTS}
    if weights["ja"] * 5 >= weights["zh"] and weights["ja"]:
        weights["ja"] += weights["zh"]
    language = max(weights, key=lambda code: weights[code])
    if weights[language] * 3 > len(_LATIN.findall(text)):
        return language
    words = set(_WORD.findall(text.lower()))
    return max(_FUNCTION_WORD_SETS, key=lambda code: len(words & _FUNCTION_WORD_SETS[code]))


def points_of(requirement: str) -> list[str]:
    """The first sentences, each on one line, cut to POINT_CHARS_MAX; never empty."""
    found = []
    for sentence in sentences(readable(requirement)):
        line = shorten(sentence, POINT_CHARS_MAX)
        if _MEANT_SIGNS.search(line) and line not in found:
            found.append(line)
        if len(found) == POINTS_MAX:
            break
    return found or [shorten(readable(requirement), POINT_CHARS_MAX) or "?"]


def title_of(name: str, requirement: str) -> str:
    """The project's name; without one, the requirement's first sentence, or of a long one the first clause."""
    given = shorten(readable(name), TITLE_CHARS_MAX)
    if _MEANT_SIGNS.search(given) and not _is_beginning(given, requirement):
        return given
    sentence = points_of(requirement)[0]
    if lead := _LEAD_IN.match(sentence):
        sentence = sentence[lead.end()].upper() + sentence[lead.end() + 1 :]
    if len(sentence) > TITLE_CHARS_MAX:
        sentence = _CLAUSE_END.split(sentence, maxsplit=1)[0]
    return shorten(sentence.rstrip(".。"), TITLE_CHARS_MAX) or "?"


def _is_beginning(name: str, requirement: str) -> bool:
    """What the API calls a project that nobody has named."""
    whole = " ".join(readable(requirement).split())
    return name == whole or (name.endswith("…") and whole.startswith(name[:-1]))


def shorten(text: str, chars_max: int) -> str:
    """On one line, single spaces, with an ellipsis where something was cut off."""
    line = " ".join(text.split())
    return line if len(line) <= chars_max else line[: chars_max - 1].rstrip() + "…"
