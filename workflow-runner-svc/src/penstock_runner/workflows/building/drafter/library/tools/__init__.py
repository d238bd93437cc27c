"""The tools of this agent; where two fit a request equally well, the one listed first answers it."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from . import (
    dates,
    document_reader,
    document_search,
    download,
    draft_writer,
    greeting,
    key_points,
    keywords,
    log_analysis,
    pii_masking,
    price_quote,
    sentiment,
    summary,
    table_statistics,
    template_filler,
    todo,
)

TOOLS: Mapping[str, ModuleType] = {
    "summary": summary,
    "document_search": document_search,
    "document_reader": document_reader,
    "key_points": key_points,
    "table_statistics": table_statistics,
    "price_quote": price_quote,
    "download": download,
    "pii_masking": pii_masking,
    "draft_writer": draft_writer,
    "sentiment": sentiment,
    "log_analysis": log_analysis,
    "template_filler": template_filler,
    "dates": dates,
    "todo": todo,
    "greeting": greeting,
    "keywords": keywords,
}
