"""How much of what is long is tried: a part in `make test`, all of it in `make soak`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def part(cases: Sequence[T], number: int, of: int) -> Sequence[T]:
    """Every `of`th case, for each `number` other ones; all of them where RELMAN_TEST_ALL is set."""
    return cases if os.environ.get("RELMAN_TEST_ALL") else cases[number % of :: of]
