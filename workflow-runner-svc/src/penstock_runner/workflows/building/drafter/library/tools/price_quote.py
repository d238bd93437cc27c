"""Makes a quote from a price table."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from .desk import Desk, ToolError, read_text
from .text import in_language_of

WORDS = (
    "price", "quot", "cost", "pricing", "budget", "invoice", "billing", "estimate", "currency", "purchase", "aws",
    "报价", "价格", "费用", "成本", "预算", "账单", "询价", "发票", "采购", "估算", "单价", "見積", "価格", "precio", "prix", "devis", "preis",
)  # fmt: skip
EXAMPLES = (
    "Quote: 3 x server, 100 x storage",
    "报价：3 x server, 100 x storage",
)

# These rows only show the shape of a table; a quote made from them says so.
SAMPLE_PRICES = """item,unit,price,currency
server,month,40.00,USD
storage,GB month,0.08,USD
database,month,65.00,USD
traffic,GB,0.09,USD
support,month,100.00,USD
"""
_ORDER = re.compile(r"(\d{1,9}(?:\.\d{1,4})?)\s*(?:x|×|\*|台|个|份|件)\s*([\w][\w .-]{0,60})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Price:
    unit: str
    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Line:
    item: str
    quantity: Decimal
    price: Price

    @property
    def total(self) -> Decimal:
        return (self.quantity * self.price.amount).quantize(Decimal("0.01"))


def price_table(text: str) -> dict[str, Price]:
    """By item in lower case; the columns item and price are needed, unit and currency are not."""
    table = {}
    for row in csv.DictReader(io.StringIO(text.strip())):
        try:
            amount = Decimal((row["price"] or "").strip())
            item = (row["item"] or "").strip().lower()
        except (KeyError, InvalidOperation) as error:
            raise ToolError("The price table needs the columns item and price, with a number in price.") from error
        table[item] = Price((row.get("unit") or "").strip(), amount, (row.get("currency") or "").strip())
    return table


def quote(order: str, table: dict[str, Price]) -> list[Line]:
    """One line for each "3 x item" of the order; an item that has no price is an error, never left out."""
    lines = []
    for quantity, name in _ORDER.findall(order):
        item = name.strip().lower()
        if item not in table:
            raise ToolError(f"There is no price for {name.strip()!r}. Known: {', '.join(sorted(table)[:20])}.")
        lines.append(Line(item, Decimal(quantity), table[item]))
    return lines


def answer(request: str, desk: Desk) -> str:
    table = price_table(read_text(desk.files[0]) if desk.files else SAMPLE_PRICES)
    lines = quote(request, table)
    if not lines:
        raise ToolError("The request names no quantity. Write for example: 3 x server, 100 x storage.")
    totals: dict[str, Decimal] = {}
    shown = []
    for line in lines:
        totals[line.price.currency] = totals.get(line.price.currency, Decimal()) + line.total
        shown.append(f"- {line.quantity} x {line.item}: {line.total} {line.price.currency}")
    for currency, total in totals.items():
        shown.append(in_language_of(request, f"Total: {total} {currency}", f"合计：{total} {currency}"))
    if not desk.files:
        note = in_language_of(
            request, "(sample prices: give your own table as a file)", "（示例价格：请以文件提供价格表）"
        )
        shown.append(note)
    return "\n".join(shown)
