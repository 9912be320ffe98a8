"""The schema of check.proxy: what users may see of a canary."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, model_validator

from relman.config.schema import values
from relman.config.schema.base import MOST, Section, parsed
from relman.config.suggestions import shown
from relman.model import strategy as model
from relman.model.proxy import BOUNDS, in_words

_SHARE = re.compile(r"(?P<percent>[0-9]{1,3}(?:\.[0-9]{1,3})?)%")


def share(value: object) -> float:
    """A percentage as a share of one. Raises ValueError."""
    found = _SHARE.fullmatch(value) if isinstance(value, str) else None
    if not found or not 0 < (percent := float(found["percent"])) <= 100:
        raise ValueError(f"expected a percentage such as 1% or 0.5%, found {shown(value)}")
    return percent / 100


def bound(value: object) -> float:
    """A time, in seconds, at which answers are told apart. Raises ValueError."""
    found = values.positive_seconds(value)
    if round(found * 1000, 6) not in BOUNDS:
        steps = ", ".join(in_words(each).replace(" ", "") for each in BOUNDS)
        raise ValueError(f"answers are counted in steps: expected one of {steps}; found {shown(value)}")
    return found


class ProxyCheck(Section):
    """What users may see of a canary, from the counts of its proxies."""

    errors_below: Annotated[float, parsed(share)] | None = None
    p99_below: Annotated[float, parsed(bound)] | None = None
    minimum_requests: Annotated[int, Field(ge=1, le=MOST)] = model.ProxyCheck.minimum_requests

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.errors_below is None and self.p99_below is None:
            raise ValueError("say what users may see: errors_below, p99_below")
        return self

    def value(self) -> model.ProxyCheck:
        """The model's check."""
        return model.ProxyCheck(self.errors_below, self.p99_below, self.minimum_requests)
