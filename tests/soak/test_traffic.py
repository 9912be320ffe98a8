"""A few of the deployments under load that `make soak` makes fifty of."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.stage import Stage
from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.soak.traffic import HOSTS, Traffic

COUNT = 5


def test_no_request_fails_while_releases_and_a_proxy_change(lab: Lab, hosts: list[LabHost], tmp_path: Path) -> None:
    """New and kept connections, uploads, slow answers and HTTP/2, by TLS, on three hosts; WebSockets are made again."""
    assert len(hosts) == HOSTS
    traffic = Traffic(Stage(lab, tmp_path))
    traffic.prepare()
    assert traffic.trial(COUNT, upgrades=1).faults == []
