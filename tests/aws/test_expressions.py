"""Conditions and updates become DynamoDB's expressions, with every name and value behind an alias."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_backbone.aws.expressions import STATEMENT_CHARS_MAX, call_arguments, update_statement
from penstock_backbone.errors import Invalid
from penstock_backbone.vocabulary import (
    And,
    Check,
    Condition,
    Delete,
    Equals,
    Exists,
    Greater,
    Key,
    Less,
    Missing,
    Or,
    Put,
    Update,
)

KEY = Key("runs", "run_1", "RUN")
TYPED_KEY = {"pk": {"S": "run_1"}, "sk": {"S": "RUN"}}


def spelled(condition: Condition) -> str:
    """The condition as DynamoDB would read it, its aliases replaced by what they stand for."""
    arguments = call_arguments(Delete(KEY, when=condition), "dev-runs")
    return spell(arguments["ConditionExpression"], arguments)


def spell(expression: str, arguments: dict[str, Any]) -> str:
    aliases: dict[str, Any] = arguments.get("ExpressionAttributeNames", {}) | {
        alias: repr(next(iter(typed.values())))
        for alias, typed in arguments.get("ExpressionAttributeValues", {}).items()
    }
    for alias in sorted(aliases, key=len, reverse=True):
        expression = expression.replace(alias, aliases[alias])
    return expression


@pytest.mark.parametrize(
    ("condition", "expression"),
    [
        (Equals("state", "queued"), "state = 'queued'"),
        (Equals("ok", True), "ok = True"),
        (Less("fence", 3), "fence < '3'"),
        (Greater("at", "2026"), "at > '2026'"),
        (Exists("pk"), "attribute_exists(pk)"),
        (Missing("stages/draft/state"), "attribute_not_exists(stages.draft.state)"),
        (Equals("a", 1) & Equals("b", 2), "(a = '1' AND b = '2')"),
        (Equals("a", 1) | (Equals("b", 2) & Missing("c")), "(a = '1' OR (b = '2' AND attribute_not_exists(c)))"),
        (And((Or((Equals("a", 1),)),)), "a = '1'"),
        (And(()), "(attribute_exists(pk) OR attribute_not_exists(pk))"),
        (Or(()), "(attribute_exists(pk) AND attribute_not_exists(pk))"),
    ],
)
def test_a_condition_means_the_same_as_an_expression(condition: Condition, expression: str) -> None:
    assert spelled(condition) == expression


def test_no_name_reaches_the_expression_itself() -> None:
    hostile = "state = :x OR attribute_exists(pk)"
    arguments = call_arguments(Delete(KEY, when=Equals(hostile, 1) & Exists("size")), "dev-runs")
    assert arguments["ConditionExpression"] == "(#0 = :0 AND attribute_exists(#1))"
    assert arguments["ExpressionAttributeNames"] == {"#0": hostile, "#1": "size"}


def test_a_put_carries_its_key_and_asks_for_what_stood_there() -> None:
    assert call_arguments(Put(KEY, {"n": 1}, when=Missing("pk")), "dev-runs") == {
        "TableName": "dev-runs",
        "Item": {**TYPED_KEY, "n": {"N": "1"}},
        "ConditionExpression": "attribute_not_exists(#0)",
        "ExpressionAttributeNames": {"#0": "pk"},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def test_an_unconditional_delete_has_no_expression_at_all() -> None:
    assert call_arguments(Delete(KEY), "dev-runs") == {
        "TableName": "dev-runs",
        "Key": TYPED_KEY,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def test_an_update_never_creates_an_item() -> None:
    update = Update(KEY, {"state": "running", "facts/3": {"t": "x"}}, when=Equals("seq", 2), remove=("session", "a/b"))
    arguments = call_arguments(update, "dev-runs")
    assert spell(arguments["ConditionExpression"], arguments) == "attribute_exists(pk) AND seq = '2'"
    assert (
        spell(arguments["UpdateExpression"], arguments)
        == "SET state = 'running', facts.3 = {'t': {'S': 'x'}} REMOVE session, a.b"
    )
    assert arguments["Key"] == TYPED_KEY


def test_an_update_with_an_or_keeps_the_or_together() -> None:
    arguments = call_arguments(Update(KEY, {"hb": 2}, when=Or((Equals("st", "live"), Equals("st", "dead")))), "t")
    assert spell(arguments["ConditionExpression"], arguments) == "attribute_exists(pk) AND (st = 'live' OR st = 'dead')"


def test_a_check_has_a_condition_and_nothing_else() -> None:
    arguments = call_arguments(Check(KEY, Exists("pk")), "dev-runs")
    assert arguments["ConditionExpression"] == "attribute_exists(#0)"
    assert "Item" not in arguments
    assert "UpdateExpression" not in arguments


@pytest.mark.parametrize("value", [True, None, b"x", 1.5])
def test_only_numbers_and_text_are_smaller_or_larger(value: Any) -> None:
    with pytest.raises(Invalid, match="whole numbers and text"):
        call_arguments(Delete(KEY, when=Less("a", value)), "t")


def test_a_plain_update_is_said_in_one_statement() -> None:
    update = Update(KEY, {"st": "held", "f": 3}, when=Equals("st", "waiting") & Less("f", 3), remove=("x",))
    statement = update_statement(update, "dev-tokens")
    assert statement is not None
    assert statement.text == (
        'UPDATE "dev-tokens" SET "st"=? SET "f"=? REMOVE "x" WHERE "pk"=? AND "sk"=? AND "st"=? AND "f"<?'
    )
    assert statement.parameters == [
        {"S": "held"},
        {"N": "3"},
        {"S": "run_1"},
        {"S": "RUN"},
        {"S": "waiting"},
        {"N": "3"},
    ]


@pytest.mark.parametrize(
    "update",
    [
        Update(KEY, {"a": 1}, returning=True),
        Update(KEY, {"facts/3": 1}),
        Update(KEY, {'a"b': 1}),
        Update(KEY, {"a": 1}, remove=("b c",)),
        Update(KEY, {"a": 1}, when=Exists("b")),
        Update(KEY, {"a": 1}, when=Missing("b")),
        Update(KEY, {"a": 1}, when=Equals("b", 1) | Equals("b", 2)),
        Update(KEY, {"a": 1}, when=Equals("b", {"c": 1})),
        Update(KEY, {"a": 1}, when=Equals("b/c", 1)),
        Update(KEY, {"a": 1}, when=Equals("pk", "run_1")),
        Update(KEY, {f"a{n}": n for n in range(STATEMENT_CHARS_MAX // 10)}),
    ],
)
def test_what_a_statement_might_say_differently_is_not_said_in_one(update: Update) -> None:
    assert update_statement(update, "dev-runs") is None
