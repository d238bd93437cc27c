"""Items to DynamoDB's typed JSON and back, by hand: boto3's own serializer makes decimals and is several times slower."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias

from penstock_backbone.errors import Fatal, Invalid
from penstock_backbone.vocabulary import Item, Key

Typed: TypeAlias = dict[str, Any]
"""One value with its type's letter: {"S": "text"}, {"N": "7"}."""


def to_typed(value: Any) -> Typed:
    kind = type(value)
    if kind is str:
        return {"S": check_text(value)}
    if kind is int:
        return {"N": str(value)}
    if kind is bool:
        return {"BOOL": value}
    if value is None:
        return {"NULL": True}
    if kind is dict:
        return {"M": {check_text(name): to_typed(part) for name, part in value.items()}}
    if kind in (list, tuple):
        return {"L": [to_typed(part) for part in value]}
    if kind is bytes:
        return {"B": value}
    raise Invalid(f"items hold text, whole numbers, booleans, null, bytes, lists and maps, not {kind.__name__}")


def from_typed(typed: Mapping[str, Any]) -> Any:
    ((letter, value),) = typed.items()
    match letter:
        case "S" | "BOOL":
            return value
        case "N":
            return _to_int(value)
        case "M":
            return {name: from_typed(part) for name, part in value.items()}
        case "L":
            return [from_typed(part) for part in value]
        case "NULL":
            return None
        case "B":
            # Lambda hands binary over as base64 text, boto3 as bytes.
            return base64.b64decode(value) if isinstance(value, str) else bytes(value)
        case _:
            raise Fatal(f"an item holds a value of DynamoDB's type {letter!r}, which Penstock never writes")


def to_item(item: Mapping[str, Any]) -> dict[str, Typed]:
    return {check_text(name): to_typed(value) for name, value in item.items()}


def from_item(typed: Mapping[str, Any]) -> Item:
    return {name: from_typed(value) for name, value in typed.items()}


def to_key(key: Key) -> dict[str, Typed]:
    return {"pk": {"S": check_text(key.pk)}, "sk": {"S": check_text(key.sk)}}


def check_text(text: str) -> str:
    """JSON could carry half a surrogate pair to DynamoDB, which cannot store it."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise Invalid(f"text is made of whole characters, and {text[:40]!r} holds half of one") from error
    return text


def _to_int(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise Fatal(f"an item holds {text!r} as a number") from error
    if number != number.to_integral_value():
        raise Fatal(f"an item holds the fraction {text}, which Penstock never writes")
    return int(number)
