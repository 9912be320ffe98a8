"""The current time in relman's format: RFC 3339 (section 5.6, https://www.rfc-editor.org/rfc/rfc3339#section-5.6), in
UTC, to the second."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp() -> str:
    """Return the current time."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
