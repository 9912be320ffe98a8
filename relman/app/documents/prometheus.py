"""What runs where, for Prometheus.

Specification: text exposition format 0.0.4
(https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format). Metrics are named as its guide says.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from relman.app.looking.status import Status
from relman.model.formats.clock import from_rfc3339
from relman.rollout.looking.condition import Condition
from relman.rollout.looking.status import HostStatus
from relman.rollout.proxy.status import ProxyStatus

_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_SEEN = (Condition.WELL, Condition.UNASKED, Condition.UNDER_WAY)


@dataclass
class _Metric:
    """A metric: what it is, and its samples."""

    name: str
    help: str
    kind: str = "gauge"
    samples: dict[tuple[tuple[str, str], ...], float] = field(default_factory=dict)

    def add(self, value: float, **labels: str) -> None:
        self.samples[tuple(labels.items())] = value

    def lines(self) -> Iterator[str]:
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} {self.kind}"
        for labels, value in self.samples.items():
            told = ",".join(f'{name}="{text.translate(_ESCAPED)}"' for name, text in labels)
            yield f"{self.name}{{{told}}} {value:.15g}"


def exposition(found: Mapping[str, Status]) -> str:
    """The text for the statuses of environments, by name; it ends with a line feed."""
    metrics = _Metrics()
    for environment, status in found.items():
        metrics.environment(environment, status)
    return "".join(f"{line}\n" for metric in metrics.all for line in metric.lines() if metric.samples)


class _Metrics:
    def __init__(self) -> None:
        self.hosts = _Metric("relman_hosts", "Hosts of the environment on which something was looked at.")
        self.unreachable = _Metric("relman_host_unreachable", "1 if the host did not answer.")
        self.info = _Metric("relman_service_info", "The release that runs, or ran last; always 1.")
        self.state = _Metric("relman_service_state", "The state of the service on the host, in a word; always 1.")
        self.serving = _Metric("relman_service_serving", "1 if the service serves on the host.")
        self.since = _Metric("relman_service_deployed_timestamp_seconds", "When what serves was deployed.")
        self.unhealthy = _Metric("relman_service_unhealthy_hosts", "Hosts on which the service is not well.")
        self.loaded = _Metric("relman_proxy_loaded", "1 if the proxy routes as its files say.")
        self.draining = _Metric("relman_proxy_draining_connections", "Connections of before the proxy's last change.")
        self.expiry = _Metric("relman_proxy_certificate_expiry_timestamp_seconds", "When the certificate expires.")
        self.requests = _Metric(
            "relman_proxy_requests_total", "Requests to the service since the last load.", "counter"
        )
        self.failed = _Metric("relman_proxy_failed_requests_total", "Those of them that failed.", "counter")

    @property
    def all(self) -> list[_Metric]:
        """All of them."""
        return list(vars(self).values())

    def environment(self, name: str, status: Status) -> None:
        """Add an environment."""
        self.hosts.add(len({row.host for row in status.rows}), environment=name)
        unhealthy = {row.service: 0 for row in status.rows if row.service}
        for row in status.rows:
            self._row(name, row)
            if row.service and row.state not in _SEEN:
                unhealthy[row.service] += 1
        for service, count in unhealthy.items():
            self.unhealthy.add(count, environment=name, service=service)

    def _row(self, environment: str, row: HostStatus) -> None:
        self.unreachable.add(row.unreachable, environment=environment, host=row.host)
        if not row.service or row.unreachable:
            return
        labels = {"environment": environment, "host": row.host, "service": row.service}
        if row.release:
            self.info.add(1, **labels, release=row.release, digest=row.manifest)
        self.state.add(1, **labels, state=row.state)
        self.serving.add(row.serving, **labels)
        with contextlib.suppress(ValueError):  # it is what the host's record says
            self.since.add(from_rfc3339(row.deployed_at).timestamp(), **labels)
        if row.proxy:
            self._proxy(environment, row.service, row.proxy)

    def _proxy(self, environment: str, service: str, proxy: ProxyStatus) -> None:
        labels = {"environment": environment, "host": proxy.host}
        self.loaded.add(proxy.loaded, **labels)
        self.draining.add(proxy.connections, **labels)
        for each in proxy.certificates:
            self.expiry.add(from_rfc3339(each.until).timestamp(), **labels, certificate=each.name)
        for route in proxy.routes:
            if route.name == f"{environment}:{service}":
                self.requests.add(route.requests, **labels, service=service)
                self.failed.add(route.failed, **labels, service=service)
