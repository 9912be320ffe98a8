"""A command in a container and this process's own streams."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any, cast

import pytest

from relman.cli.console import relay
from relman.model.errors import UsageError


def test_a_reader_that_went_away_is_no_fault_of_relman() -> None:
    """As with `| head`: it is said, and nothing more of the output is waited for."""
    reading, writing = os.pipe()
    os.close(reading)
    parts = iter([(writing, b"one"), (writing, b"two")])
    command = SimpleNamespace(terminal=False, output=lambda: parts, send=lambda _: None, end_input=lambda: None)
    with pytest.raises(UsageError, match="cannot be written: Broken pipe"):
        relay(cast(Any, command))
    os.close(writing)
    assert list(parts) == [(writing, b"two")]
