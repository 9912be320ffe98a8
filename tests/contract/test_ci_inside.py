"""Waits for services on an engine whose containers this machine does not reach, as with docker:dind or a far engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from docker.errors import APIError

from relman.ci.engine.containers import create_network
from relman.ci.testing.inside import reaches
from relman.docker.local import connect
from relman.model.errors import TestsFailed
from relman.model.run import RunName
from relman.model.service import TestStage, WaitFor
from tests.contract.ci_fixtures import judge
from tests.contract.shop import DATABASE, Shop
from tests.lab.lab import Lab


@pytest.fixture
def far(tmp_path: Path, lab: Lab, run: RunName, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """The service under test, on an engine reached by its socket alone: this test stays out of its network."""
    monkeypatch.setenv("DOCKER_HOST", lab.env["DOCKER_HOST"])
    client, engine = judge(), connect()
    yield Shop(tmp_path, engine, client, run, lab.registry.address, {})
    for container in client.containers(all=True):
        with suppress(APIError):
            client.remove_container(container["Id"], force=True, v=True)
    client.prune_networks()
    client.close()
    engine.close()


def test_waits_are_asked_inside(far: Shop) -> None:
    """TCP and HTTP hold once the service listens for others, and not for what listens on loopback only or answers with
    an error; where the image has nothing to ask with, that is said with what to do."""
    create_network(far.engine, far.run)
    assert not reaches(far.engine, far.client.networks(filters={"label": f"relman.run={far.run}"})[0]["Name"])
    late = "busybox sleep 1; echo 1 >/ready; exec busybox httpd -f -p 8080 -h /"
    for wait in (WaitFor(tcp=8080), WaitFor(http_port=8080, http_path="/ready")):
        service = far.linked(command=("/bin/sh", "-c", late), wait=wait)
        assert far.test(far.build(), "busybox wget -q -O - http://db:8080/ready", services=(service,)).passed
    for command, wait in (
        ("exec busybox httpd -f -p 127.0.0.1:8080 -h /", WaitFor(tcp=8080, timeout=1)),
        ("exec busybox httpd -f -p 8080 -h /", WaitFor(http_port=8080, http_path="/nothing", timeout=1)),
    ):
        service = far.linked(command=("/bin/sh", "-c", command), wait=wait)
        with pytest.raises(TestsFailed, match="asked inside"):
            far.test(far.build(), "true", services=(service,))
    bare = DATABASE.replace("COPY busybox /bin/sh\n", "")
    service = far.linked(bare, command=("/bin/busybox", "httpd", "-f", "-p", "8080"), wait=WaitFor(tcp=8080, timeout=5))
    with pytest.raises(TestsFailed, match="the image has no shell"):
        far.run_stage(far.build(), TestStage((service,)))


def test_a_smoke_test_that_nothing_can_be_asked_for(far: Shop) -> None:
    """Where nobody can ask whether the image under test is healthy, that is said with what to do; it has not failed."""
    deploy = {"command": ["/busybox", "httpd", "-f", "-p", "8080"], "health": {"tcp": {"port": 8080}}}
    far.service = dataclasses.replace(far.service, deploy=deploy)
    image = far.build("FROM scratch\nCOPY busybox /busybox\nSTOPSIGNAL SIGKILL\n")
    with pytest.raises(TestsFailed, match="the image has no shell") as caught:
        far.run_stage(image, TestStage(smoke=True))
    assert "HEALTHCHECK" in caught.value.hint


def test_a_network_that_is_reached(shop: Shop) -> None:
    """On the engine's own machine nothing is asked inside."""
    assert reaches(shop.engine, create_network(shop.engine, shop.run))
