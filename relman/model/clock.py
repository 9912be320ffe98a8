"""The time as relman writes it down: RFC 3339, in UTC, to the second."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp() -> str:
    """Now."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
