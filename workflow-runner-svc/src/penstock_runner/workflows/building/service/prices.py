"""What tokens cost: a table that is data. A model that it does not know has no cost, rather than none."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from penstock_backbone.errors import Fatal


class _Price(BaseModel):
    """In US dollars for a million tokens, which is micro-dollars for one. `cached`: of input that the service has read
    before; None: as much as of other input."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached: float | None = Field(default=None, ge=0)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    models: dict[str, _Price]


@dataclass(frozen=True, slots=True)
class Prices:
    """By the beginning of a model's name, with or without the region or the account it is asked in; the longest that fits
    counts."""

    models: Mapping[str, _Price]

    @classmethod
    def read(cls, own: str | None) -> Self:
        """The shipped table, with `own`, a TOML file of the same shape, on top. Raises Fatal for one that is wrong."""
        shipped = cls._parse(files(__package__).joinpath("prices.toml").read_text("utf-8"), "prices.toml")
        if own is None:
            return cls(shipped)
        try:
            text = Path(own).read_text("utf-8")
        except (OSError, UnicodeError) as error:
            raise Fatal(f"the price table {own} cannot be read ({error}): correct PENSTOCK_MODEL_PRICES") from error
        return cls({**shipped, **cls._parse(text, own)})

    @staticmethod
    def _parse(text: str, name: str) -> dict[str, _Price]:
        try:
            return _Table.model_validate(tomllib.loads(text)).models
        except (tomllib.TOMLDecodeError, ValidationError) as error:
            reason = str(error).splitlines()[-2 if isinstance(error, ValidationError) else 0].strip()
            raise Fatal(
                f'the price table {name} is wrong ({reason}): lines look like "gpt-x" = {{input = 1, output = 2}}'
            ) from error

    def microusd(self, model: str, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> int | None:
        """`cached_tokens` of the input are counted at their own price. None: nobody said what it costs."""
        profile = model.rpartition("/")[2]
        names = (model, profile, profile.partition(".")[2])
        known = [name for name in self.models if any(called.startswith(name) for called in names)]
        if not known:
            return None
        price = self.models[max(known, key=len)]
        cached = price.input if price.cached is None else price.cached
        fresh_tokens = input_tokens - cached_tokens
        return round(fresh_tokens * price.input + cached_tokens * cached + output_tokens * price.output)
