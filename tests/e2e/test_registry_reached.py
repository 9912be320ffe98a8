"""A team whose registry has no TLS, and one behind a proxy with a company's CA, up to a deployment."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.contract.test_reached import tinyproxy
from tests.e2e.stage import Stage
from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.lab.process import until
from tests.lab.registry import Registry

DAEMON = "/etc/docker/daemon.json"


@pytest.fixture
def stage(lab: Lab, hosts: list[LabHost], tmp_path: Path) -> Stage:
    """Hosts as new, and one release in the lab's registry."""
    assert hosts
    stage = Stage(lab, tmp_path)
    stage.release("1")
    return stage


@pytest.fixture
def plain(stage: Stage) -> Iterator[Registry]:
    """A registry without TLS on the lab's network, with a password; the user is logged in there."""
    layout = stage.lab.layout
    registry = Registry(layout, address=f"{layout.gateway}:5999", tls=False)
    registry.docker_config = stage.home / "docker"
    registry.provision()
    registry.start()
    file = registry.docker_config / "config.json"
    known = json.loads((stage.lab.registry.docker_config / "config.json").read_text())["auths"]
    file.write_text(json.dumps({"auths": known | json.loads(file.read_text())["auths"]}))
    stage.env["DOCKER_CONFIG"] = str(registry.docker_config)
    for name in ("RELMAN_REGISTRY_USERNAME", "RELMAN_REGISTRY_PASSWORD", "RELMAN_REGISTRY"):
        stage.env.pop(name, None)
    try:
        yield registry
    finally:
        registry.stop()


def test_a_registry_without_tls(stage: Stage, plain: Registry) -> None:
    """Nothing goes to it until it is allowed by name; then a release is promoted to it with a warning. The hosts'
    engines decide for themselves: `check --hosts` and `deploy` say what they miss; then it is deployed."""
    place = plain.address
    head = f"service: demo\nregistry: {stage.repository.registry}\n"
    (stage.home / "relman.yml").write_text(f"{head}test: {{commands: [{{run: [a]}}]}}\n")
    refused = stage.relman("promote", "1", "--to", f"{place}/demo", code=4)
    assert f"{place}: the registry speaks plain HTTP, not TLS" in refused.err
    assert f"RELMAN_INSECURE_REGISTRIES={place}" in refused.err
    allowed = {"RELMAN_INSECURE_REGISTRIES": place}
    done = stage.relman("promote", "1", "--to", f"{place}/demo", env=allowed)
    assert done.err.count("plain HTTP") == 1
    (stage.home / "relman.yml").unlink()

    services = {"demo": f"{place}/demo"}
    stage.write_inventory(relman_services=services)
    assert "speaks plain HTTP, not TLS" in stage.deploy("1", code=4).err
    stage.write_inventory(relman_services=services, relman_insecure_registries=[place])
    lacking = stage.relman("check", "-e", "production", "--hosts", code=4)
    assert "insecure-registries" in lacking.text
    refused = stage.deploy("1", code=4)
    assert "server gave HTTP response to HTTPS client" in refused.err
    assert "insecure-registries" in refused.err
    with engines_allow(stage.lab.hosts, place):
        assert "ready: " in stage.relman("check", "-e", "production", "--hosts").out
        done = stage.deploy("1")
        assert done.err.count("plain HTTP") == 1
        stage.serve("1")


def test_a_proxy_and_a_company_s_ca(stage: Stage, tmp_path: Path) -> None:
    """The CA is the system's, and all that relman asks of the registry goes through the proxy; the hosts pull by
    themselves. Without the proxy's login the proxy is named."""
    stage.write_inventory(relman_services={"demo": str(stage.repository)})
    tree = stage.inventory.read_text().replace(f"relman_registry_ca: {stage.lab.registry.ca}", "")
    stage.inventory.write_text(tree)
    stage.env |= {"SSL_CERT_FILE": str(stage.lab.registry.ca), "RELMAN_REGISTRY_CA": "", "NO_PROXY": "", "no_proxy": ""}
    with tinyproxy(tmp_path, "BasicAuth me s3cret-word") as (proxy, log):
        stage.env["https_proxy"] = f"http://{proxy}"
        refused = stage.deploy("1", code=4)
        assert f"the proxy {proxy} requires a login" in refused.err
        stage.env["https_proxy"] = f"http://me:s3cret-word@{proxy}"
        done = stage.deploy("1")
        assert "s3cret-word" not in done.text
        assert f"CONNECT {stage.lab.registry.address}" in log.read_text()
        stage.serve("1")


@contextmanager
def engines_allow(hosts: list[LabHost], registry: str) -> Iterator[None]:
    """Let the hosts' engines pull from a registry without TLS, as their administrators do."""
    before = {host.name: host.path(DAEMON).read_text() for host in hosts}
    try:
        for host in hosts:
            _configure(host, json.dumps(json.loads(before[host.name]) | {"insecure-registries": [registry]}))
        for host in hosts:
            until(lambda host=host: registry in _insecure(host), f"{host.name} to allow {registry}", 20)  # type: ignore[misc]
        yield
    finally:
        for host in hosts:
            _configure(host, before[host.name])


def _configure(host: LabHost, text: str) -> None:
    """Have the engine read this configuration, which it does at SIGHUP."""
    host.path(DAEMON).write_text(text)
    for pid in host.processes("dockerd"):
        os.kill(pid, signal.SIGHUP)


def _insecure(host: LabHost) -> list[str]:
    with host.engine() as engine:
        return list(engine.info()["RegistryConfig"]["IndexConfigs"])
