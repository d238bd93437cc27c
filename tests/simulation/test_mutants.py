"""A few of the named bugs, which the simulation must find; all of them are hunted by `make mutants`."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import pytest
from tests.simulation import mutants
from tests.simulation.mutants import hunt
from tests.simulation.mutations import MUTATIONS
from tests.simulation.patches import Mutation, Patches

QUICK = {
    "no compare-and-swap on the head": 0,
    "an overtaken gate is not read again": 0,
    "a slot is freed before its run is fenced off": 0,
    "no self-fence": 5,
    "the relay skips a failed record": 15,
    "last come, first served": 4,
    "an old map of the tenants is accepted": 1,
    "a held token moves without its budget": 5,
}
"""With the seed that is tried first, because it has shown the bug before; then come all the others."""
SEEDS_MAX = 25


@pytest.mark.parametrize("name", QUICK)
def test_a_named_bug_is_found(name: str) -> None:
    (mutation,) = [mutation for mutation in MUTATIONS if mutation.name == name]
    seeds = [*range(QUICK[name], SEEDS_MAX), *range(QUICK[name])]
    verdict = hunt(mutation, seeds)
    assert not verdict.broken, "a seed fails without the bug as well"
    assert verdict.violation is not None


# --- what the gate says ----------------------------------------------------------------------------------


class _Somewhere:
    breaks = False


def _breaks(patches: Patches) -> None:
    patches.put(_Somewhere, "breaks", True)


def _breaks_nothing(_patches: Patches) -> None:
    """Nobody can find this."""


FOUND = Mutation("it breaks a rule", _breaks)
EXPLAINED = Mutation("it breaks none, as is known", _breaks_nothing, "another defence stands behind it")
UNEXPLAINED = Mutation("it breaks none", _breaks_nothing)


def _gate(
    monkeypatch: pytest.MonkeyPatch, *mutations: Mutation, only: str = "", seeds: int = 3, broken: tuple[int, ...] = ()
) -> int:
    """`broken`: seeds that break a rule whatever is put in."""

    def played(seed: int) -> SimpleNamespace:
        return SimpleNamespace(violation="I2: so it is" if _Somewhere.breaks or seed in broken else None)

    monkeypatch.setattr(mutants, "MUTATIONS", mutations)
    monkeypatch.setattr(mutants, "plan_of", lambda seed: seed)
    monkeypatch.setattr(mutants, "simulate", played)
    return mutants.main([f"--seeds={seeds}", "--first=7", "--jobs=1", f"--only={only}"])


def test_the_gate_is_passed_where_each_bug_is_found_or_its_reason_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _gate(monkeypatch, FOUND, EXPLAINED) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "caught    it breaks a rule: seed 7, I2: so it is"
    assert said[-1] == "1 caught, 1 survived"


def test_the_gate_fails_where_a_bug_is_not_found_and_nobody_knows_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _gate(monkeypatch, FOUND, UNEXPLAINED) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[1] == "SURVIVED  it breaks none: 3 seeds; NO REASON IS KNOWN: the simulation is blind here"
    assert said[-1] == "1 caught, 1 survived"


def test_the_gate_fails_where_no_bug_is_chosen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _gate(monkeypatch, FOUND, only="nothing like it") == 1
    assert capsys.readouterr().out == "No named bug has 'nothing like it' in its name.\n"


def test_the_gate_fails_at_once_where_the_first_seeds_break_a_rule_without_any_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _gate(monkeypatch, FOUND, broken=(8,)) == 1
    assert capsys.readouterr().out.startswith("The code itself breaks seed 8: mend it first")


def test_a_seed_that_breaks_a_rule_without_the_bug_shows_nothing_and_fails_the_gate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    late = 7 + mutants.SOUND_SEEDS
    assert _gate(monkeypatch, EXPLAINED, seeds=mutants.SOUND_SEEDS + 1, broken=(late,)) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("SURVIVED  it breaks none, as is known: 11 seeds")
    assert said[1].startswith(f"The code itself breaks seed {late}: mend it first")
    assert said[-1] == "0 caught, 1 survived"


def test_a_bug_that_is_found_although_a_reason_says_that_it_cannot_be_is_pointed_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _gate(monkeypatch, Mutation("a claim", _breaks, "somebody else looks"))
    assert "(so it is NOT TRUE that somebody else looks)" in capsys.readouterr().out


# --- each entry ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_every_bug_can_be_put_in_and_taken_out(mutation: Mutation) -> None:
    patches = Patches()
    mutation.patch(patches)
    places = patches.places()
    try:
        assert places, "it replaces nothing"
        for where, name, old in places:
            assert where.__dict__[name] is not old, f"{where.__name__}.{name} is as it was"
            assert where.__dict__[name] is not None, f"{where.__name__}.{name} is only taken away"
    finally:
        patches.undo()
    for where, name, old in places:
        assert where.__dict__[name] is old, f"{where.__name__}.{name} is not put back"


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_every_bug_can_be_called_as_what_it_replaces(mutation: Mutation) -> None:
    """Otherwise it would be caught as a TypeError, and nobody would know whether the simulation sees the bug itself."""
    patches = Patches()
    mutation.patch(patches)
    try:
        for name, old, new in patches.replaced():
            if callable(old) and not isinstance(old, type):
                _demand_fit(name, inspect.signature(old), inspect.signature(new))
    finally:
        patches.undo()


def _demand_fit(name: str, old: inspect.Signature, new: inspect.Signature) -> None:
    given = old.parameters.values()
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    by_place = [each.name for each in given if each.kind in kinds]
    by_name = {each.name: None for each in given if each.kind is inspect.Parameter.KEYWORD_ONLY}
    try:
        new.bind(*by_place, **by_name)
    except TypeError as error:
        raise AssertionError(f"{name}{new} cannot be called as {name}{old}: {error}") from error
