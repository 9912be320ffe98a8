"""Write and read times: RFC 3339 (section 5.6, https://www.rfc-editor.org/rfc/rfc3339#section-5.6), in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal


def timestamp() -> str:
    """The current time, to the second."""
    return rfc3339(datetime.now(UTC))


def rfc3339(moment: datetime, precision: Literal["seconds", "milliseconds"] = "seconds") -> str:
    """A time in one form, so that text sorts by time. Raises OverflowError if its year in UTC is out of range."""
    return moment.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def from_rfc3339(text: str) -> datetime:
    """The time, in UTC; decimals after the sixth are dropped. Raises ValueError for other forms, such as a time without
    an offset."""
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"{text!r} is not a time of RFC 3339")
