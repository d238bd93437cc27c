"""Which model drafts, from the environment.

PENSTOCK_MODEL         a model's name; bedrock:<model id> for Amazon Bedrock; unset: the offline drafter
PENSTOCK_MODEL_URL     where it is, for services that speak chat completions, e.g. http://localhost:11434/v1
PENSTOCK_MODEL_KEY     its key, if it wants one
PENSTOCK_MODEL_PRICES  a TOML file with prices of your own
AWS_REGION             Bedrock's; or what boto3 finds
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from penstock_backbone.errors import Fatal
from penstock_backbone.ports import Chance, Clock
from penstock_runner.workflows.building.drafter.offline import OfflineDrafter
from penstock_runner.workflows.building.model import DraftingModel
from penstock_runner.workflows.building.service.chat import ChatModel
from penstock_runner.workflows.building.service.drafter import ServiceDrafter
from penstock_runner.workflows.building.service.prices import Prices

BEDROCK = "bedrock:"
VARIABLES = ("PENSTOCK_MODEL", "PENSTOCK_MODEL_URL", "PENSTOCK_MODEL_KEY", "PENSTOCK_MODEL_PRICES", "AWS_REGION")


@dataclass(frozen=True, slots=True)
class Chosen:
    """`resources`: what its stages are counted at, so that a limit can be set on the model."""

    drafter: DraftingModel
    resources: tuple[str, ...] = ()


def choose(environment: Mapping[str, str], clock: Clock, chance: Chance) -> Chosen:
    """Raises Fatal with a sentence that says which variable to correct."""
    model = environment.get("PENSTOCK_MODEL", "").strip()
    url = environment.get("PENSTOCK_MODEL_URL", "").strip()
    if not model and not url:
        return Chosen(OfflineDrafter())
    if not model:
        raise Fatal(f"PENSTOCK_MODEL_URL is {url}, and PENSTOCK_MODEL does not say which model to ask for there")
    chat = _chat(model, url, environment)
    prices = Prices.read(environment.get("PENSTOCK_MODEL_PRICES") or None)
    resource = "model:" + (re.sub(r"[^A-Za-z0-9._-]", "-", chat.name)[:80].lstrip("._-") or "unnamed")
    return Chosen(ServiceDrafter(chat, prices, clock, chance), (resource,))


def _chat(model: str, url: str, environment: Mapping[str, str]) -> ChatModel:
    """Each client is imported where it is used: boto3's takes most of a second."""
    if model == BEDROCK:
        raise Fatal("PENSTOCK_MODEL is bedrock: and names no model: bedrock:eu.anthropic.claude-sonnet-4-20250514-v1:0")
    if model.startswith(BEDROCK):
        from penstock_runner.adapters.models.bedrock import Bedrock  # noqa: PLC0415  # only who asks this service imports it

        return Bedrock(model.removeprefix(BEDROCK), environment.get("AWS_REGION") or None, url or None)
    if not _is_address(url):
        raise Fatal(
            f"PENSTOCK_MODEL is {model}, and PENSTOCK_MODEL_URL {f'is {url!r}' if url else 'is not set'}: "
            "set it to the service's address, for example http://localhost:11434/v1, or name a bedrock:<model id>"
        )
    from penstock_runner.adapters.models.openai_compatible import (  # noqa: PLC0415  # only who asks this service imports it
        OpenAiCompatible,
    )

    return OpenAiCompatible(url, model, _key(environment) or None)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _key(environment: Mapping[str, str]) -> str:
    """A secret's file often ends in a line's end, and a header can hold none: its refusal would show the key."""
    key = environment.get("PENSTOCK_MODEL_KEY", "").strip()
    if not (key.isascii() and key.isprintable()):
        raise Fatal("PENSTOCK_MODEL_KEY holds a sign that no key has, a quotation mark of a word processor perhaps")
    return key
