"""Behind a proxy nobody notices a deployment: requests are made all the time, and none fails."""

from __future__ import annotations

import json

import pytest

from relman.cli.exits import Exit
from tests.e2e.proxied import BEHIND, NAME, first_of, haproxy, inventory, lossless, newer_haproxy
from tests.e2e.stage import ALL_AT_ONCE, Stage
from tests.lab.load import load
from tests.lab.process import until


@pytest.fixture
def proxied(stage: Stage) -> Stage:
    """Every host has a proxy that routes nothing yet; two releases are to be behind it."""
    inventory(stage, haproxy(stage, 1), demo={"hosts": [NAME]})
    for tag in ("behind-1", "behind-2"):
        stage.release(tag, deploy=BEHIND)
    said = stage.relman("proxy", "apply", "-e", "production").out
    assert said.count("its proxy runs ") == 3, said
    return stage


def test_nobody_notices_a_deployment_or_a_rollback(proxied: Stage) -> None:
    """Not one request of many fails, new connections and kept ones; the proxy says what it routes, and is not changed
    when it is applied again; a new image of it, of HAProxy 3.2, takes its place."""
    proxied.deploy("behind-1", *ALL_AT_ONCE)
    target = first_of(proxied)
    with load(target) as counted:
        until(lambda: counted.requests > 100, "requests")
        proxied.deploy("behind-2", *ALL_AT_ONCE)
        assert "as the inventory says" in proxied.relman("proxy", "apply", "-e", "production").out
        inventory(proxied, newer_haproxy(proxied), demo={"hosts": [NAME]})
        assert "was replaced" in proxied.relman("proxy", "apply", "-e", "production").out
        proxied.rollback()
        proxied.deploy("behind-2", *ALL_AT_ONCE)
    lossless(counted, "behind-1", "behind-2")
    said = json.loads(proxied.relman("--json", "proxy", "status", "-e", "production").out.splitlines()[0])
    assert [row["state"] for row in said["hosts"]] == ["running"] * 3
    assert [row["routes"][0]["ways"] for row in said["hosts"]] == [[f"{NAME}/"]] * 3


def test_nobody_notices_that_relman_dies_and_recovers(proxied: Stage) -> None:
    """Killed before the old container's policy goes, and before it stops: the release that runs answers, and after the
    recovery, too; and a host that loses its power then comes back with a proxy that reaches what runs."""
    proxied.deploy("behind-1", *ALL_AT_ONCE)
    for method, count in (("set_restart", 2), ("stop", 1)):
        with load(first_of(proxied)) as counted:
            until(lambda c=counted: c.requests > 50, "requests")  # type: ignore[misc]
            proxied.relman_killed(method, count, "deploy", "behind-2", "-e", "production", "--yes", "--only", "h1")
            proxied.relman("recover", "-e", "production", "--wait-lock", "90")
        lossless(counted, "behind-1", "behind-2")
    proxied.deploy("behind-1", *ALL_AT_ONCE)
    proxied.relman_killed("set_restart", 2, "deploy", "behind-2", "-e", "production", "--yes", "--only", "h1")
    host = proxied.lab.hosts[0]
    host.reboot()
    until(lambda: host.http(80, "/version").status in (200, 404), "its proxy")
    with load(first_of(proxied)) as early:
        until(lambda: early.answers, "an answer")
    with load(first_of(proxied)) as counted:
        until(lambda: counted.requests > 50, "requests")
    lossless(counted, "behind-2")


def test_what_stands_in_the_way_is_said_before_anything_changes(proxied: Stage) -> None:
    """A service without a route, and one without a proxy; an image without HAProxy; a proxy that still routes is not
    removed. Of a host that does not answer nothing is said, and all of the others."""
    proxied.deploy("behind-1", *ALL_AT_ONCE)
    known, gone = proxied.inventory.read_text(), proxied.lab.hosts[2].address
    proxied.inventory.write_text(known.replace(gone, f"{gone.rpartition('.')[0]}.99"))
    seen = proxied.relman("--json", "proxy", "status", "-e", "production", code=Exit.UNKNOWN)
    assert [row["host"] for row in json.loads(seen.out.splitlines()[0])["hosts"]] == ["h1", "h2"]
    assert "no answer from h3" in seen.err
    assert "--exclude HOST" in proxied.relman("maintenance", "on", "-e", "production", code=Exit.NOTHING_CHANGED).text
    proxied.inventory.write_text(known)
    inventory(proxied, proxied.repository.tag("behind-1"), demo={"hosts": [NAME]})
    assert "is no image of HAProxy" in proxied.relman("proxy", "apply", "-e", "production", code=4).text
    inventory(proxied, haproxy(proxied, 1), demo={"hosts": [NAME]})
    assert "production:demo" in proxied.relman("proxy", "remove", "-e", "production", "--yes", code=4).text
    proxied.relman("remove", "-e", "production", "--yes")
    assert "was removed" in proxied.relman("proxy", "remove", "-e", "production", "--yes").out
    assert "relman proxy apply" in proxied.deploy("behind-1", code=4).text
    inventory(proxied, haproxy(proxied, 1))
    assert "relman_routes" in proxied.deploy("behind-1", code=4).text
