"""What relman status and logs say of a host's proxy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from relman.app.looking.proxy_lines import requests_to
from relman.model.formats.clock import rfc3339
from relman.model.proxy import Certificate
from relman.rollout.looking.condition import Condition
from relman.rollout.looking.routed import reached
from relman.rollout.proxy.build import has_metrics
from relman.rollout.proxy.status import ProxyStatus, RoutedService

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ROUTED = RoutedService("production:shop", ("shop.example.com/",), ("shop-1",))


def proxy(until: datetime, *, connections: int = 0) -> ProxyStatus:
    """One with a certificate of 90 days."""
    certificate = Certificate("pem", "0", (), rfc3339(until - 90 * DAY), rfc3339(until))
    return ProxyStatus(
        "h1", "running", loaded=True, connections=connections, routes=(ROUTED,), certificates=(certificate,)
    )


@pytest.mark.parametrize(
    ("left", "said"), [(15 * DAY, ""), (13 * DAY, "expires at"), (-DAY, "has expired at 2025-12-31T00:00:00Z")]
)
def test_status_warns_of_a_certificate_that_expires(left: timedelta, said: str) -> None:
    """In time, and with what to type."""
    found = reached(proxy(NOW + left), "production:shop", {"shop-1"}, NOW)
    assert found.state is Condition.WELL
    assert bool(found.notes) == bool(said)
    assert said in "".join(found.notes)
    assert not said or "relman proxy apply" in found.notes[0]


def test_status_says_what_is_still_with_old_workers() -> None:
    """As connections of users."""
    (note,) = reached(proxy(NOW + 80 * DAY, connections=2), "production:shop", {"shop-1"}, NOW).notes
    assert "2 connections" in note


@pytest.mark.parametrize(
    ("line", "taken"),
    [
        ('2026-01-01T00:00:00Z {"service":"production:shop","status":200}', True),
        ('2026-01-01T00:00:00Z {"service":"test:shop"}', False),
        ('2026-01-01T00:00:00Z {"service":"production:cart"}', False),
        ("2026-01-01T00:00:00Z [NOTICE] production:shop", False),
        ('2026-01-01T00:00:00Z {"service":"production:shop"', False),
        ("2026-01-01T00:00:00Z " + "[" * 100_000, False),
        ("2026-01-01T00:00:00Z {" + '"a":[' * 100_000, False),
        ("", False),
    ],
)
def test_only_requests_to_the_service_are_shown(line: str, taken: bool) -> None:
    """Not those of another environment or service on the same host, nor what HAProxy says of itself."""
    assert requests_to("production", ["shop"])(line) is taken


def test_a_build_has_metrics_or_not() -> None:
    """As haproxy -vv says it."""
    assert has_metrics(["HAProxy version 2.6.12", "Available services : prometheus-exporter", "Available filters :"])
    assert not has_metrics(["Available services : none", "OPTIONS = USE_PROMEX=0 prometheus-exporter"])
