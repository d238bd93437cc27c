"""Conditions and writes compiled to DynamoDB's expressions, and to PartiQL where that says exactly the same. Pure."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, assert_never

from penstock_backbone.aws.values import Typed, to_item, to_key, to_typed
from penstock_backbone.errors import Invalid
from penstock_backbone.vocabulary import (
    And,
    Check,
    Condition,
    Delete,
    Equals,
    Exists,
    Greater,
    Less,
    Missing,
    Or,
    Put,
    TransactionPart,
    Update,
)

STATEMENT_CHARS_MAX = 8192
"""DynamoDB's limit for one PartiQL statement."""
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY_NAMES = ("pk", "sk")


class Statement(NamedTuple):
    text: str
    parameters: list[Typed]


class _Aliases:
    """Every name and value gets an alias, so that no name is ever a reserved word or read as an expression."""

    def __init__(self) -> None:
        self.values: dict[str, Typed] = {}
        self._names: dict[str, str] = {}

    @property
    def names(self) -> dict[str, str]:
        return {alias: name for name, alias in self._names.items()}

    def path(self, path: str) -> str:
        return ".".join(self._names.setdefault(name, f"#{len(self._names)}") for name in path.split("/"))

    def value(self, value: Any) -> str:
        alias = f":{len(self.values)}"
        self.values[alias] = to_typed(value)
        return alias


def call_arguments(part: TransactionPart, table: str) -> dict[str, Any]:
    """What PutItem, UpdateItem, DeleteItem and the parts of TransactWriteItems have in common. `table` is physical."""
    aliases = _Aliases()
    arguments: dict[str, Any] = {"TableName": table, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    condition = compile_condition(part.when, aliases) if part.when is not None else ""
    match part:
        case Put():
            arguments["Item"] = to_key(part.key) | to_item(part.item)
        case Update():
            arguments["Key"] = to_key(part.key)
            arguments["UpdateExpression"] = _update(part, aliases)
            there = f"attribute_exists({aliases.path('pk')})"
            condition = f"{there} AND {condition}" if condition else there
        case Delete() | Check():
            arguments["Key"] = to_key(part.key)
        case _:
            assert_never(part)
    if condition:
        arguments["ConditionExpression"] = condition
    if aliases.names:
        arguments["ExpressionAttributeNames"] = aliases.names
    if aliases.values:
        arguments["ExpressionAttributeValues"] = aliases.values
    return arguments


def compile_condition(condition: Condition, aliases: _Aliases) -> str:
    """DynamoDB's comparisons are false for a missing attribute and for another type, as the vocabulary wants."""
    match condition:
        case Equals(path=path, value=value):
            return f"{aliases.path(path)} = {aliases.value(value)}"
        case Less(path=path, value=value):
            return f"{aliases.path(path)} < {aliases.value(_ordered(value))}"
        case Greater(path=path, value=value):
            return f"{aliases.path(path)} > {aliases.value(_ordered(value))}"
        case Exists(path=path):
            return f"attribute_exists({aliases.path(path)})"
        case Missing(path=path):
            return f"attribute_not_exists({aliases.path(path)})"
        case And(all=parts):
            return _joined(parts, "AND", aliases)
        case Or(any=parts):
            return _joined(parts, "OR", aliases)
        case _:
            assert_never(condition)


def update_statement(update: Update, table: str) -> Statement | None:
    """The update in PartiQL, or None where it could mean something else than UpdateItem does.

    Only plain top-level names under And, Equals, Less and Greater: what the documentation shows by example.
    PartiQL's UPDATE never creates an item, and its DELETE cannot tell a false condition from a missing
    item, so deletes are not said in it at all.
    """
    comparisons = _comparisons(update.when)
    names = [*update.set, *update.remove, *(path for path, _, _ in comparisons or ())]
    if update.returning or comparisons is None or not all(map(_PLAIN_NAME.fullmatch, names)):
        return None
    if any(path in _KEY_NAMES for path in names):
        return None
    changes = [f'SET "{name}"=?' for name in update.set] + [f'REMOVE "{name}"' for name in update.remove]
    tests = ['"pk"=?', '"sk"=?', *(f'"{path}"{sign}?' for path, sign, _ in comparisons)]
    text = f'UPDATE "{table}" {" ".join(changes)} WHERE {" AND ".join(tests)}'
    values = [*update.set.values(), update.key.pk, update.key.sk, *(value for _, _, value in comparisons)]
    return Statement(text, [to_typed(value) for value in values]) if len(text) <= STATEMENT_CHARS_MAX else None


def _update(update: Update, aliases: _Aliases) -> str:
    clauses = []
    if update.set:
        changes = [f"{aliases.path(path)} = {aliases.value(value)}" for path, value in update.set.items()]
        clauses.append("SET " + ", ".join(changes))
    if update.remove:
        clauses.append("REMOVE " + ", ".join(aliases.path(path) for path in update.remove))
    return " ".join(clauses)


def _joined(parts: tuple[Condition, ...], word: str, aliases: _Aliases) -> str:
    if not parts:
        # All of nothing is true and any of nothing is false; an expression can say so only of the key.
        key = aliases.path("pk")
        return f"(attribute_exists({key}) {'OR' if word == 'AND' else 'AND'} attribute_not_exists({key}))"
    if len(parts) == 1:
        return compile_condition(parts[0], aliases)  # DynamoDB refuses redundant parentheses
    return "(" + f" {word} ".join(compile_condition(part, aliases) for part in parts) + ")"


def _ordered(value: int | str) -> int | str:
    if type(value) not in (int, str):
        raise Invalid(f"only whole numbers and text can be smaller or larger, not {type(value).__name__}")
    return value


def _comparisons(condition: Condition | None) -> list[tuple[str, str, Any]] | None:
    """The condition as (name, sign, value) that all must hold; None where it is more than that."""
    match condition:
        case None:
            return []
        case Equals(path=path, value=value) if type(value) in (str, int, bool):
            return [(path, "=", value)]
        case Less(path=path, value=value):
            return [(path, "<", _ordered(value))]
        case Greater(path=path, value=value):
            return [(path, ">", _ordered(value))]
        case And(all=parts):
            found: list[tuple[str, str, Any]] = []
            for part in parts:
                inner = _comparisons(part)
                if inner is None:
                    return None
                found += inner
            return found
        case _:
            return None
