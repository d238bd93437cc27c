"""The ranking: the first of many, with as few looks at their ranks as there can be."""

from __future__ import annotations

from collections import Counter

from penstock_orchestrator.domain.ranking import Rank, Ranking


class Ranks:
    """Of names, as they are now, and how often each was asked for."""

    def __init__(self, **numbers: int) -> None:
        self.numbers = numbers
        self.asked: Counter[str] = Counter()
        self.ranking: Ranking[str] = Ranking(self._rank_of)
        for name in numbers:
            self.ranking.advance(name)
        self.asked.clear()

    def first(self) -> str | None:
        found = self.ranking.first()
        return None if found is None else found[2]

    def _rank_of(self, name: str) -> Rank[str] | None:
        self.asked[name] += 1
        return None if name not in self.numbers else (self.numbers[name], "", name)


def test_who_moves_back_is_asked_once_and_so_is_the_next() -> None:
    ranks = Ranks(a=1, b=2, c=3)
    ranks.numbers["a"] = 4
    assert ranks.first() == "b"
    assert ranks.asked == {"a": 1, "b": 1}


def test_who_moves_back_and_stays_first_is_not_asked_again() -> None:
    ranks = Ranks(a=1, b=5, c=6)
    ranks.numbers["a"] = 4
    assert ranks.first() == "a"
    assert ranks.asked == {"a": 1}


def test_who_takes_no_part_any_more_is_passed_over() -> None:
    ranks = Ranks(a=1, b=2)
    del ranks.numbers["a"]
    assert (ranks.first(), ranks.first()) == ("b", "b")
    assert ranks.asked["a"] == 1


def test_who_moves_forward_learns_whether_it_is_in_front_now() -> None:
    ranks = Ranks(a=1, b=2, c=3)
    ranks.numbers |= {"c": 2}
    assert not ranks.ranking.advance("c"), "b has the same number and the smaller name"
    ranks.numbers |= {"c": 0}
    assert ranks.ranking.advance("c")
    assert ranks.first() == "c"
    assert not ranks.ranking.advance("c"), "it was before"
