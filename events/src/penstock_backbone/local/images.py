"""A new image of an item: encoded and measured, ready to be stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from penstock_backbone.inventory import Index
from penstock_backbone.local.limits import check_indexed, check_item_size
from penstock_backbone.vocabulary import Item


@dataclass(frozen=True, slots=True)
class Image:
    """`body` is the msgpack of the item, so that nobody outside can change what is stored."""

    item: Item | None
    body: bytes
    size: int


def prepare_image(item: Item | None, indexes: Sequence[Index]) -> Image:
    """Checked (Invalid) and measured (TooLarge). The item is kept as it is: for whoever alone has it."""
    if item is None:
        return Image(None, b"", 0)
    if indexes:
        check_indexed(item, indexes)
    body = msgspec.msgpack.encode(item)
    check_item_size(item, encoded_bytes=len(body))
    return Image(item, body, len(body))


def prepare_private_image(item: Item | None, indexes: Sequence[Index]) -> Image:
    """The same of a copy: its caller may go on changing what it gave."""
    image = prepare_image(item, indexes)
    return image if image.item is None else Image(msgspec.msgpack.decode(image.body), image.body, image.size)
