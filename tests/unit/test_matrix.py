"""What `relman status` says of a whole inventory: pure, on hosts in memory, and of hosts that do not answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from relman.app.context import Context
from relman.app.environments import Request
from relman.app.looking.matrix import StatusMatrix, arranged, status_matrix
from relman.model.container import Container, Listed
from relman.model.errors import Drift, Interrupted, NotServing, Unhealthy, Unknown, Unreachable, UsageError
from relman.model.host import Environment, Hop, Host
from relman.rollout.fleet import Fleet, Session
from relman.rollout.looking.condition import Condition
from relman.rollout.looking.status import HostStatus, unseen
from tests.unit.cli import relman
from tests.unit.events import Quiet
from tests.unit.model_fleet import World, serving
from tests.unit.model_host import ModelConnection, ModelEngine
from tests.unit.values import PORT, REPOSITORY

HOSTS = {"staging": ("s1",), "production": ("h1", "h2")}


def environments(**services: tuple[str, ...]) -> list[Environment]:
    """Staging and production, each with these services, or with shop."""
    return [
        Environment(
            name,
            tuple(Host(host, Hop(host)) for host in hosts),
            dict.fromkeys(services.get(name, ("shop",)), REPOSITORY),
        )
        for name, hosts in HOSTS.items()
    ]


def row(host: str, release: str = "118", state: Condition = Condition.WELL, **more: Any) -> HostStatus:
    """What one host says of shop."""
    found = HostStatus(host, "shop", True, release, state=state, recorded_release=release)
    return replace(found, **more)


def absent(host: str) -> HostStatus:
    """A host that nothing was deployed to."""
    return HostStatus(host, "shop", state=Condition.ABSENT, why="nothing was deployed there")


def silent(host: str, service: str = "") -> HostStatus:
    """A host that does not answer."""
    return unseen(host, service, Unreachable("no answer within 5 s"))


def matrix(*production: HostStatus, staging: HostStatus | None = None, service: str | None = None) -> StatusMatrix:
    """The rows of h1 and h2 in production beside s1 in staging."""
    rows = {"staging": [staging or row("s1", "119")], "production": [*production]}
    return arranged(environments(), rows, service, ())


@pytest.mark.parametrize(
    ("rows", "releases", "word", "kind"),
    [
        ((row("h1"), row("h2")), ("118",), "serves", None),
        ((row("h1", "117"), row("h2")), ("117", "118"), "mixed", "MixedFleet"),
        ((row("h1"), row("h2", state=Condition.STOPPED)), ("118",), "not serving", "NotServing"),
        ((absent("h1"), absent("h2")), (), "not deployed", "NotServing"),
        ((row("h1"), absent("h2")), ("118",), "not serving", "NotServing"),
        ((row("h1"), row("h2", interrupted=True)), ("118",), "interrupted", "Interrupted"),
        ((row("h1"), row("h2", state=Condition.DRIFTED)), ("118",), "drift", "Drift"),
        ((row("h1"), silent("h2")), ("118",), "unknown", "Unknown"),
        ((silent("h1"), silent("h2")), (), "unknown", "Unknown"),
        ((row("h1"), row("h2", state=Condition.UNHEALTHY)), ("118",), "unhealthy", "Unhealthy"),
        ((row("h1", under_way=True, state=Condition.UNDER_WAY), row("h2")), ("118",), "under way", None),
    ],
)
def test_a_cell_says_release_and_verdict_in_a_word(
    rows: tuple[HostStatus, ...], releases: tuple[str, ...], word: str, kind: str | None
) -> None:
    """The gravest of its hosts, as status says it of the environment alone."""
    found = matrix(*rows)
    cell = next(c for c in found.cells if c.environment == "production")
    assert (cell.releases, cell.word) == (releases, word)
    verdict = found.verdict()
    assert (verdict and verdict.kind.__name__) == kind
    assert verdict is None or "production" in verdict.what
    other = next(c for c in found.cells if c.environment == "staging")
    assert (other.releases, other.word) == (("119",), "serves")


def test_the_gravest_of_all_cells_decides() -> None:
    """In the order of the exit codes, not of the environments; each finding names its environment and its command."""
    sick, dark = row("h1", state=Condition.UNHEALTHY), row("s1", state=Condition.STOPPED)
    found = matrix(sick, row("h2"), staging=dark)
    verdict = found.verdict()
    assert verdict
    assert (verdict.kind, verdict.what.split(":")[0]) == (NotServing, "staging")
    assert [each.kind for each in found.findings] == [NotServing, Unhealthy]
    assert found.verdict() is found.findings[0]
    stuck = matrix(row("h1", interrupted=True), row("h2"), staging=row("s1", state=Condition.DRIFTED))
    assert [each.kind for each in stuck.findings] == [Interrupted, Drift]
    assert "relman recover -e production" in stuck.findings[0].way_out


def test_what_is_tolerated_is_tolerated_in_each_environment() -> None:
    """One unhealthy host of each is two, and no more than one anywhere."""
    found = matrix(row("h1", state=Condition.UNHEALTHY), row("h2"), staging=silent("s1"))
    assert found.verdict("1") is None
    assert found.verdict("50%") is found.verdict()
    verdict = found.verdict()
    assert verdict
    assert verdict.kind is Unknown


def test_an_environment_without_the_service_has_no_cell() -> None:
    """What an environment does not have is empty; with --service only those that have it are shown, and a silent host
    elsewhere counts for nothing."""
    chosen = environments(staging=("cart",), production=("cart", "shop"))
    rows = {
        "staging": [replace(row("s1"), service="cart")],
        "production": [row("h1"), replace(row("h1", "7"), service="cart"), row("h2"), silent("h2")],
    }
    found = arranged(chosen, rows, None, ())
    assert (found.services, list(found.environments)) == (["cart", "shop"], ["staging", "production"])
    assert {(c.service, c.environment) for c in found.cells} == {
        ("cart", "staging"),
        ("cart", "production"),
        ("shop", "production"),
    }
    one = arranged(chosen, {"staging": [silent("s1", "shop")], "production": [row("h1"), row("h2")]}, "shop", ())
    assert (list(one.environments), one.verdict()) == (["production"], None)
    with pytest.raises(UsageError, match="no environment knows the service 'shpo'") as caught:
        arranged(chosen, {"staging": [silent("s1", "shpo")], "production": []}, "shpo", ())
    assert caught.value.hint == "known there: cart, shop"


def test_a_service_that_left_the_inventory_has_a_row() -> None:
    """As long as a host has it."""
    found = arranged(environments(production=("cart",)), {"staging": [], "production": [row("h1")]}, None, ())
    assert ("shop", "production") in {(c.service, c.environment) for c in found.cells}


INVENTORY = """
staging: {hosts: {h2: }}
qa: {hosts: {h3: }, vars: {ansible_user: other}}
production: {hosts: {h1: , h2: , h3: }, vars: {ansible_user: deploy}}
all: {vars: {relman_services: {shop: registry.example.org/shop}, ansible_user: deploy, ansible_ssh_private_key_file: k}}
"""


class Looking(ModelEngine):
    """An engine that says of all containers how they are, as a real one does."""

    def survey(self, labels: Mapping[str, str]) -> tuple[list[Container], list[Listed]]:
        """As inspected."""
        own, rows = super().survey(labels)
        return [self.inspect(each.id) for each in own], rows


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> tuple[World, list[tuple[str, str]]]:
    """Three hosts that serve in production, and a list of all connections that are opened: host and user."""
    world, opened = serving(3, PORT, "1"), list[tuple[str, str]]()

    class Counting(Fleet):
        def _open(self, host: Host) -> Session:
            opened.append((host.name, host.endpoint.user))
            model = next(h for h in world.hosts if h.name == host.name)
            model.look()
            return Session(host, cast(Any, ModelConnection(model)), cast(Any, Looking(model)))

    monkeypatch.setattr("relman.app.looking.matrix.Fleet", Counting)
    return world, opened


def looked(tmp_path: Path, **options: Any) -> StatusMatrix:
    """The matrix of the inventory above."""
    (tmp_path / "i.yml").write_text(INVENTORY)
    (tmp_path / "known_hosts").touch()
    environ: Mapping[str, str] = {"RELMAN_KNOWN_HOSTS": str(tmp_path / "known_hosts"), "HOME": str(tmp_path)}
    context = Context(events=Quiet(), environ=environ)
    return status_matrix(context, Request("", (str(tmp_path / "i.yml"),), **options))


def test_every_host_is_asked_once(tmp_path: Path, connected: tuple[World, list[tuple[str, str]]]) -> None:
    """One that is in two environments is connected to once, unless it is reached in two ways; each environment has what
    is its own there."""
    world, opened = connected
    found = looked(tmp_path)
    assert sorted(opened) == [("h1", "deploy"), ("h2", "deploy"), ("h3", "deploy"), ("h3", "other")]
    assert {(c.environment, c.releases, c.word) for c in found.cells} == {
        ("staging", (), "not deployed"),
        ("qa", (), "not deployed"),
        ("production", ("1",), "serves"),
    }
    world.hosts[1].sick = frozenset({"1"})
    assert [c.word for c in looked(tmp_path).cells if c.environment == "production"] == ["unhealthy"]


def test_a_host_that_is_away_is_unknown_in_all_its_environments(
    tmp_path: Path, connected: tuple[World, list[tuple[str, str]]]
) -> None:
    """And what its environments' files are like is each one's own: a directory that others may write spoils one."""
    world, _ = connected
    world.hosts[1].reachable = False
    found = looked(tmp_path, service="all")
    assert {(c.environment, c.releases, c.word) for c in found.cells} == {
        ("staging", (), "unknown"),
        ("qa", (), "not deployed"),
        ("production", ("1",), "unknown"),
    }
    assert "h2" in next(f for f in found.findings if f.kind is Unknown).what
    world.hosts[1].reachable = True
    host = world.hosts[1]
    host.owners["/var/lib/relman/production"] = (1000, 1000, 0o40777)
    words = {c.environment: c.word for c in looked(tmp_path, service="shop").cells}
    assert words == {"staging": "not deployed", "qa": "not deployed", "production": "unknown"}


SILENT = """
staging: {hosts: {s1: }}
production: {hosts: {"web[1:2]": }}
all:
  vars:
    ansible_host: 127.0.0.1
    ansible_port: 1
    ansible_ssh_private_key_file: key
    relman_services: {shop: registry.example.org/shop, cart: registry.example.org/cart}
"""


def test_without_an_environment_all_are_shown(tmp_path: Path) -> None:
    """A line for each service and a column for each environment, also in 24 columns; a document; the exit code; and
    options that are one environment's are refused."""
    (tmp_path / "i.yml").write_text(SILENT)
    (tmp_path / "known_hosts").touch()
    env = {"RELMAN_INVENTORY": str(tmp_path / "i.yml"), "RELMAN_KNOWN_HOSTS": str(tmp_path / "known_hosts")}
    done = relman("status", env=env)
    assert done.returncode == 11
    assert done.stdout.splitlines() == [
        "SERVICE  staging  production",
        "cart     unknown  unknown",
        "shop     unknown  unknown",
    ]
    assert "warning: production: what runs on web1 and web2 is not known" in done.stderr
    assert "error: staging: what runs on s1 is not known" in done.stderr
    narrow = relman("status", "--service", "shop", env={**env, "COLUMNS": "24"})
    assert [line for line in narrow.stdout.splitlines() if len(line) > 24] == []
    assert narrow.stdout.splitlines()[0] == "shop"
    document, error = map(json.loads, relman("status", "--json", env=env).stdout.splitlines())
    assert (document["kind"], document["environments"], error["code"]) == ("matrix", ["staging", "production"], 11)
    cell = document["cells"][0]
    assert (cell["service"], cell["environment"], cell["verdict"]) == ("cart", "staging", "unknown")
    assert relman("status", "--max-unhealthy", "2", env=env).returncode == 0
    for option in (["--watch"], ["--only", "web1"], ["--exclude", "web1"]):
        assert "add -e ENV" in relman("status", *option, env=env).stderr
    assert relman("status", "--service", "shpo", env=env).returncode == 2


def test_the_problems_of_all_environments_are_shown_at_once(tmp_path: Path) -> None:
    """A mistake in one environment does not hide that in another, and nobody is asked."""
    (tmp_path / "i.yml").write_text(SILENT.replace("{s1: }", "{s1: {ansible_port: a}}"))
    bad = (tmp_path / "i.yml").read_text().replace('"web[1:2]": ', '"web[1:2]": {ansible_port: b}')
    (tmp_path / "i.yml").write_text(bad)
    done = relman("status", "-i", "i.yml", cwd=tmp_path)
    assert done.returncode == 2
    assert (done.stderr.count("ansible_port"), done.stdout) == (2, "")
    (tmp_path / "i.yml").write_text("production: {hosts: {web1: }}\n")
    nothing = relman("status", "-i", "i.yml", cwd=tmp_path)
    assert (nothing.returncode, "relman_services" in nothing.stderr) == (2, True)
