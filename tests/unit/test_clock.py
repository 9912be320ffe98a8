"""Times as relman writes and reads them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from relman.model.formats.clock import from_rfc3339, rfc3339, timestamp


def test_what_is_written_sorts_as_text_and_is_read_again() -> None:
    """In UTC whatever zone the time has, with four digits of the year, cut to the second or the millisecond."""
    moment = datetime(2026, 1, 31, 1, 59, 59, 999999, timezone(timedelta(hours=2)))
    assert rfc3339(moment) == "2026-01-30T23:59:59Z"
    assert rfc3339(moment, "milliseconds") == "2026-01-30T23:59:59.999Z"
    assert rfc3339(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00Z"
    assert from_rfc3339(timestamp()) <= datetime.now(UTC)


def test_what_engines_and_documents_write_is_read() -> None:
    """Up to nine decimals, as Docker has them, and any offset; the result is in UTC."""
    assert from_rfc3339("2026-01-31T12:00:00.123456789+02:00") == datetime(2026, 1, 31, 10, 0, 0, 123456, UTC)
    assert from_rfc3339("2026-01-31T12:00:00.5Z").tzinfo is UTC


@pytest.mark.parametrize(
    "text", ["", "now", "2026-01-31", "2026-01-31T12:00:00", "0001-01-01T00:00:00+02:00", "9" * 99]
)
def test_anything_else_is_refused(text: str) -> None:
    """A day alone, a time without its offset, one that UTC's calendar does not have."""
    with pytest.raises(ValueError, match="is not a time of RFC 3339"):
        from_rfc3339(text)
