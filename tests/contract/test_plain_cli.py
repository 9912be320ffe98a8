"""A registry without TLS as a user meets it: refused, found by `relman check`, allowed by name, and warned of once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from relman.model.image import Repository
from relman.registry.client import Registry
from relman.registry.http.network import RegistryAccess
from tests.contract.images import push_image
from tests.contract.registry_fixture import elsewhere
from tests.contract.simulator import Simulator
from tests.unit.cli import relman


@pytest.fixture
def host() -> Iterator[str]:
    """A registry in plain HTTP with an image that nobody tested."""
    with Simulator(auth="").running() as simulator:
        host = elsewhere(simulator.host)
        with Registry(host, network=RegistryAccess(insecure=frozenset({host}))) as registry:
            push_image(registry, Repository(host, "shop"), "118")
        yield host


@pytest.fixture
def project(tmp_path: Path, host: str) -> Path:
    """A checkout whose registry speaks plain HTTP, and an inventory that allows it in production only."""
    (tmp_path / "relman.yml").write_text(f"service: shop\nregistry: {host}\ntest: {{commands: [{{run: [a]}}]}}\n")
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    services = {"relman_services": {"shop": f"{host}/shop"}}
    groups = {
        "production": {"hosts": {"web1": {}}, "vars": {**services, "relman_insecure_registries": [host]}},
        "staging": {"hosts": {"web2": {}}, "vars": services},
    }
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories/hosts.yml").write_text(json.dumps(groups))
    return tmp_path


def test_check_finds_a_registry_without_tls(project: Path, host: str) -> None:
    """`relman check` says so with both ways to allow it, once; where it is allowed it says nothing; and a registry that
    nobody reaches is none of its business."""
    done = relman("check", cwd=project)
    assert done.returncode == 0
    assert done.stderr.count("speaks plain HTTP, not TLS") == 1
    assert f"relman_insecure_registries: [{host}]" in done.stderr
    assert f"RELMAN_INSECURE_REGISTRIES={host}" in done.stderr
    assert "plain HTTP" in relman("check", "-e", "staging", cwd=project).stderr
    allowed = relman("check", cwd=project, env={"RELMAN_INSECURE_REGISTRIES": host})
    assert (allowed.returncode, "plain HTTP" in allowed.stderr) == (0, False)
    away = project / "inventories/hosts.yml"
    away.write_text(away.read_text().replace(host, "registry.invalid"))
    (project / "relman.yml").unlink()
    assert "plain HTTP" not in relman("check", cwd=project).stderr


def test_it_is_allowed_by_name_and_warned_of_once(project: Path, host: str) -> None:
    """The inventory of an environment counts for it, the variable for all; a warning goes to stderr, once a command."""
    refused = relman("gate", "118", "-e", "staging", cwd=project)
    assert refused.returncode == 4
    assert f"{host}: the registry speaks plain HTTP, not TLS" in refused.stderr
    for verb, env in (
        (("gate", "118", "-e", "production"), {}),
        (("gate", "118", "-e", "staging"), {"RELMAN_INSECURE_REGISTRIES": f"a.lan, {host.upper()}"}),
    ):
        done = relman(*verb, cwd=project, env=env)
        assert done.returncode == 3, done.stderr
        assert done.stderr.count(f"plain HTTP to the registry {host}") == 1
        assert "plain HTTP" not in done.stdout
    wrong = relman("gate", "118", "-e", "production", cwd=project, env={"RELMAN_INSECURE_REGISTRIES": "http://a.lan"})
    assert (wrong.returncode, "RELMAN_INSECURE_REGISTRIES" in wrong.stderr) == (2, True)


@pytest.mark.parametrize("key", ["insecure: true", "insecure_registries: [a.lan]", "relman_insecure_registries: [a]"])
def test_a_checkout_does_not_decide_it(project: Path, key: str) -> None:
    """relman.yml, which a branch may change, is refused with where it may be said."""
    with (project / "relman.yml").open("a") as file:
        file.write(f"{key}\n")
    done = relman("check", "-f", "relman.yml", cwd=project)
    assert done.returncode == 2
    assert "relman.yml:4:1: " in done.stderr
    assert "a checkout may not decide" in done.stderr
