"""Hosts behind a balancer of the user's own, as docs/traffic.md tells it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.proxied import lossless, release_echo
from tests.e2e.stage import ALL_AT_ONCE, PORT, Stage
from tests.lab.counted import Target
from tests.lab.doors import free_port
from tests.lab.load import Users, load
from tests.lab.process import until

INTERVAL, FAILURES = 0.5, 2
NOTICED = f"{3 * INTERVAL * FAILURES:.1f}s"
CONFIG = """\
defaults
  mode http
  timeout connect 2s
  timeout client 30s
  timeout server 30s
  retries 0
frontend users
  bind 127.0.0.1:{port}
  default_backend hosts
backend hosts
  option http-server-close
  option httpchk GET /ready
  default-server check inter {milliseconds:.0f} fall {failures} rise {failures}
{servers}
"""
USERS = Users(new=2, kept=2, uploads=1, slow=1, pause=0.05)


@contextmanager
def balancer(stage: Stage, place: Path) -> Iterator[Target]:
    """A HAProxy that asks the first two hosts, and never one twice."""
    port, config = free_port(), place / "balancer.cfg"
    servers = "\n".join(f"  server {host.name} {host.address}:{PORT}" for host in stage.lab.hosts[:2])
    text = CONFIG.format(port=port, milliseconds=1000 * INTERVAL, failures=FAILURES, servers=servers)
    config.write_text(text)
    process = subprocess.Popen(["haproxy", "-db", "-f", config], stdout=subprocess.DEVNULL)
    try:
        yield Target("127.0.0.1", port, "shop.example.com")
    finally:
        process.terminate()
        process.wait()


def test_a_balancer_that_is_told_before_loses_nothing(stage: Stage, tmp_path: Path) -> None:
    """Readiness fails, a while passes, the container stops, the next one starts, and a while passes before the next
    host: no request fails. Without these some do."""
    stage.write_inventory({"production": {"hosts": {host.name: None for host in stage.lab.hosts[:2]}}})
    told = {
        "pre_stop": {"http": {"port": PORT, "path": "/drain"}, "wait": NOTICED},
        "strategy": {"rolling": {"pause": NOTICED}},
    }
    health = {"health": {"http": {"port": PORT, "path": "/ready"}, "window": "0.5s"}, "max_unavailable": 1}
    release_echo(stage, "untold", deploy=health)
    release_echo(stage, "told-1", "told-2", deploy={**health, **told})
    stage.deploy("untold", *ALL_AT_ONCE)
    with balancer(stage, tmp_path) as target:
        with load(target, users=USERS) as early:
            until(lambda: early.answers, "the balancer")
        with load(target, users=USERS) as careless:
            stage.deploy("told-1")
        assert careless.failures
        with load(target, users=USERS) as counted:
            until(lambda: counted.requests > 30, "requests")
            stage.deploy("told-2")
        lossless(counted, "told-1", "told-2")
