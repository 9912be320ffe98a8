"""relman status --format prometheus, read by Prometheus' own parser."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from relman.app.documents.prometheus import exposition
from relman.app.looking.status import Status
from relman.model.proxy import Certificate
from relman.rollout.looking.condition import Condition
from relman.rollout.looking.status import HostStatus
from relman.rollout.proxy.status import ProxyStatus, RoutedService

UNTIL = "2026-02-01T00:00:00Z"


def samples(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """The samples by name."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def test_what_runs_where_is_told() -> None:
    """Hosts, releases, states, unhealthy ones, the proxy with its certificates and requests; nothing of a host that
    does not answer but that."""
    routed = (
        RoutedService("production:shop", (), (), requests=1234567890, failed=3),
        RoutedService("test:shop", (), ()),
    )
    proxy = ProxyStatus(
        "h1", "running", loaded=True, routes=routed, certificates=(Certificate("pem", "0", (), "", UNTIL),)
    )
    rows = [
        HostStatus("h1", "shop", True, "2", "sha256:2", deployed_at="2026-01-01T00:00:00Z", proxy=proxy),
        HostStatus("h2", "shop", False, "1", "sha256:1", state=Condition.ENDED, deployed_at="nonsense"),
        HostStatus("h3", "", unreachable=True, state=Condition.UNKNOWN),
    ]
    found = samples(exposition({"production": Status(rows, ())}))
    here = {"environment": "production"}
    assert found["relman_hosts"] == [(here, 3)]
    assert [value for _, value in found["relman_host_unreachable"]] == [0, 0, 1]
    shop = {**here, "host": "h1", "service": "shop"}
    assert found["relman_service_info"][0] == ({**shop, "release": "2", "digest": "sha256:2"}, 1)
    assert [labels["state"] for labels, _ in found["relman_service_state"]] == ["well", "ended"]
    assert found["relman_service_unhealthy_hosts"] == [({**here, "service": "shop"}, 1)]
    assert len(found["relman_service_deployed_timestamp_seconds"]) == 1
    assert found["relman_proxy_requests_total"] == [(shop, 1234567890)]
    assert found["relman_proxy_failed_requests_total"] == [(shop, 3)]
    ((labels, until),) = found["relman_proxy_certificate_expiry_timestamp_seconds"]
    assert (labels["certificate"], until) == ("pem", datetime(2026, 2, 1, tzinfo=UTC).timestamp())


@given(st.text(min_size=1), st.text())
def test_any_text_is_a_label(release: str, environment: str) -> None:
    """Quotes, backslashes and line feeds, out of whatever a host says."""
    text = exposition({environment: Status([HostStatus("h1", "shop", True, release, 'a"\\\n')], ())})
    ((labels, _),) = samples(text)["relman_service_info"]
    assert (labels["release"], labels["environment"], labels["digest"]) == (release, environment, 'a"\\\n')
