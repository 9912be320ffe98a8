"""What differs between two releases, by a registry in this process, a checkout, and hosts in memory."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

from relman.app.context import Context
from relman.app.documents.diff import diff_document
from relman.app.environments import Request
from relman.app.releases.compare import Comparison, compare
from relman.cli.output.diff_view import show_diff
from relman.cli.output.printer import Output
from relman.evidence.promote import promote
from relman.local.git import ask
from relman.model.container import DEPLOY_SECTION, DIRTY
from relman.model.errors import Unknown
from relman.model.files import labels_of
from relman.model.host import Host
from relman.model.image import ManifestDigest, Repository
from relman.model.image_config import BASE_DIGEST, BASE_NAME, REVISION, SOURCE
from relman.model.run import RunName
from relman.model.settings import DeploySettings, Port
from relman.model.state_dir.record import Deployed, HostRecord
from relman.registry.auth import Credentials
from relman.registry.client import Registry
from relman.rollout.fleet import Fleet, Session
from tests.contract.images import push_image
from tests.contract.simulator import PASSWORD, USERNAME, Simulator
from tests.unit.cli import relman
from tests.unit.events import Quiet
from tests.unit.model_host import ModelConnection, ModelEngine, ModelHost
from tests.unit.reports import report
from tests.unit.test_ci_names import git
from tests.unit.values import deployed, hexes

HOSTS = """
production:
  hosts:
    web1: {listen: 192.0.2.1}
    web2: {listen: 192.0.2.2}
  vars:
    ansible_host: 127.0.0.1
    ansible_port: 1
    ansible_ssh_private_key_file: key
    relman_services: {shop: REPOSITORY}
"""
OLD: dict[str, Any] = {"ports": ["80:80"], "env": {"COLOUR": "blue"}, "health": {"http": {"port": 80}}}
NEW: dict[str, Any] = {
    "ports": ["${listen}:80:80"],
    "env": {"COLOUR": "a-hidden-green"},
    "health": {"http": {"port": 80, "path": "/health"}},
    "secrets": {"password": {"file": "/run/secrets/password"}},
    "files": {"./app.conf": "/etc/app.conf"},
}


@dataclass
class Shelf:
    """A registry, an inventory and a checkout of two commits."""

    registry: Registry
    repository: Repository
    root: Path
    env: dict[str, str]

    def release(
        self, tag: str, deploy: Mapping[str, Any], labels: Mapping[str, str] | None = None, *, tested: bool = True
    ) -> ManifestDigest:
        """A release of its own image."""
        said = {DEPLOY_SECTION: json.dumps(deploy), "n": tag, **(labels or {})}
        manifest = push_image(self.registry, self.repository, f"run-{tag}" if tested else tag, labels=said)
        if tested:
            made = replace(report(manifest), run=RunName("shop", tag, "shop"))
            promote(
                self.registry,
                self.repository,
                source=manifest.digest,
                report=made,
                release_tag=tag,
                channels=("stable",),
            )
        return manifest.digest

    def commit(self, subject: str) -> str:
        """The name of a new commit."""
        git(self.root, "commit", "-q", "--allow-empty", "-m", subject)
        return ask(self.root, "rev-parse", "HEAD")

    def diff(self, *arguments: str, code: int = 0, cwd: Path | None = None) -> Any:
        """What relman diff says, as text and on stderr."""
        done = relman("diff", *arguments, "-e", "production", env=self.env, cwd=cwd or self.root)
        assert done.returncode == code, done.stderr
        return done


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    """With nothing released yet."""
    root = tmp_path / "checkout"
    root.mkdir()
    git(root, "init", "-q")
    with Simulator().running() as simulator:
        repository = Repository(simulator.host, "team/shop")
        (tmp_path / "hosts.yml").write_text(HOSTS.replace("REPOSITORY", str(repository)))
        (tmp_path / "known_hosts").touch()
        env = {
            "RELMAN_INVENTORY": str(tmp_path / "hosts.yml"),
            "RELMAN_DATA_DIR": str(tmp_path / "data"),
            "RELMAN_KNOWN_HOSTS": str(tmp_path / "known_hosts"),
            "RELMAN_REGISTRY": simulator.host,
            "RELMAN_REGISTRY_USERNAME": USERNAME,
            "RELMAN_REGISTRY_PASSWORD": PASSWORD,
            "HOME": str(tmp_path),
            "COLUMNS": "120",
            "GIT_CEILING_DIRECTORIES": str(tmp_path),
        }
        with Registry(simulator.host, credentials=Credentials(USERNAME, PASSWORD)) as registry:
            yield Shelf(registry, repository, root, env)


def both(shelf: Shelf) -> tuple[str, str]:
    """Two releases, of two commits."""
    first = shelf.commit("Sell things")
    second = shelf.commit("Sell more things")
    base = {BASE_NAME: "python-base", BASE_DIGEST: f"sha256:{hexes('base')}"}
    shelf.release("1", OLD, {REVISION: first, SOURCE: "https://git.example/shop", DIRTY: "true", **base})
    config = labels_of({"app.conf": b"listen 80"})
    moved = base | {BASE_DIGEST: f"sha256:{hexes('newer base')}"}
    shelf.release("2", NEW, {REVISION: second, SOURCE: "https://git.example/shop", **moved, **config})
    return first, second


def test_two_releases_side_by_side(shelf: Shelf) -> None:
    """Commits, base, build, size, tests, and the settings as the plan shows them: no value of a variable or a secret,
    files by name and digest, once for all hosts that change alike."""
    first, second = both(shelf)
    said = shelf.diff("1", "2").stdout
    rows = {line[:12].strip(): line[12:] for line in said.splitlines()}
    assert "\nshop in production: 1 -> 2\n" in said
    assert rows["commit"].split("  ")[0] == f"{first[:12]} (dirty)"
    assert second[:12] in rows["commit"]
    assert f"python-base ({hexes('base')[:12]})" in rows["base image"]
    assert f"python-base ({hexes('newer base')[:12]})" in rows["base image"]
    assert "2026-01-02 03:04:05 UTC" in rows["built"]
    assert tuple(part.split(",")[0] for part in rows["tests"].split("  ") if part) == (
        "1 passed in shop/1",
        "1 passed in shop/2",
    )
    assert "settings that change on web1:\n  ~ ports: 80:80 -> 192.0.2.1:80:80\n" in said
    assert "settings that change on web2:\n  ~ ports: 80:80 -> 192.0.2.2:80:80\n" in said
    assert "  ~ env.COLOUR: (not shown)\n" in said
    assert "  + secrets: password at /run/secrets/password\n" in said
    assert "  + files.app.conf: /etc/app.conf sha256:" in said
    assert "the rollout changes on web1, web2: health\n" in said
    assert f"commits ({first[:12]}..{second[:12]}):\n  + {second[:12]} Sell more things\n" in said
    assert "hidden" not in said


def test_back_again_and_elsewhere(shelf: Shelf, tmp_path: Path) -> None:
    """The way back loses commits; without a checkout the revisions are said, and where to see more."""
    first, second = both(shelf)
    said = shelf.diff("2", "1").stdout
    assert f"commits ({second[:12]}..{first[:12]}):\n  - {second[:12]} Sell more things\n" in said
    assert "  - secrets: password at /run/secrets/password" in said
    elsewhere = shelf.diff("1", "2", cwd=tmp_path).stdout
    assert f"in a checkout of https://git.example/shop: git log --oneline {first[:12]}..{second[:12]}\n" in elsewhere
    same = shelf.diff("2", "stable").stdout
    for text in ("stable is the release 2", "both are the same image", "settings: no difference", "of the same one"):
        assert text in same


def test_for_programs(shelf: Shelf, tmp_path: Path) -> None:
    """The same, with whole digests, and a host whose settings are not known."""
    first, second = both(shelf)
    found = json.loads(shelf.diff("1", "2", "--json").stdout)
    assert (found["kind"], found["serving_on"], found["unasked"]) == ("diff", None, {})
    assert (found["old"]["commit"], found["old"]["dirty"], found["new"]["commit"]) == (first, True, second)
    assert found["new"]["base_digest"] == f"sha256:{hexes('newer base')}"
    assert (found["new"]["bytes"], found["new_bytes"]) == (len(b"a layer"), 0)
    evidence = found["new"]["evidence"]
    assert (evidence["run"], evidence["result"], evidence["passed"], evidence["failed"]) == ("shop/2", "PASSED", 1, 0)
    assert [c["subject"] for c in found["commits"]] == ["Sell more things"]
    (host, _) = found["hosts"]
    assert {c["key"] for c in host["settings"]} == {"ports", "env.COLOUR", "secrets", "files.app.conf"}
    hosts = Path(shelf.env["RELMAN_INVENTORY"])
    hosts.write_text(hosts.read_text().replace("{listen: 192.0.2.2}", ""))
    done = shelf.diff("1", "2", "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert (found["commits"], [bool(h["problem"]) for h in found["hosts"]]) == (None, [False, True])
    assert (
        "the settings on web2 are not known: the label of shop:2: deploy.ports[0]: the variable listen" in done.stderr
    )


def test_what_is_not_released_is_shown_as_such(shelf: Shelf) -> None:
    """An image without evidence is compared, and it is said; a tag that does not exist ends the command."""
    shelf.release("1", OLD)
    shelf.release("9", OLD, tested=False)
    done = shelf.diff("1", "9")
    (tests,) = (line for line in done.stdout.splitlines() if line.startswith("tests"))
    assert "1 passed in shop/1" in tests
    assert tests.endswith("no evidence")
    assert "commits: not known, because the image of 1 names none" in done.stdout
    assert "warning: 9 may not be deployed: " in done.stderr
    assert "1 may not" not in done.stderr
    for tags in (("1", "7"), ("7", "1")):
        assert "team/shop:7 does not exist" in shelf.diff(*tags, code=2).stderr
    for wrong in ((), ("1", "9", "1")):
        assert shelf.diff(*wrong, code=2).stdout == ""


def test_hosts_that_do_not_answer_leave_nothing_to_compare_with(shelf: Shelf) -> None:
    """Without an old release the hosts are asked; none of them answers here."""
    shelf.release("1", OLD)
    assert "no answer from web1, web2: what serves there is not known" in shelf.diff("1", code=11).stderr


@pytest.fixture
def serving(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Deployed | None]], Comparison]:
    """Compare release 2 with what these hosts have in their records; a host that is not there does not answer."""

    def on(entries: dict[str, Deployed | None]) -> Comparison:
        class Remembering(Fleet):
            def _open(self, host: Host) -> Session:
                model = ModelHost(host.name, lambda _: None, lambda: 1000.0, reachable=host.name in entries)
                place = "/var/lib/relman/production/shop"
                model.directories |= {"/var/lib/relman", "/var/lib/relman/production", place}
                if entry := entries.get(host.name):
                    record = HostRecord("shop", "production", (entry,), entry.id).to_json()
                    model.files[f"{place}/record.json"] = (json.dumps(record).encode(), 900.0)
                return Session(host, cast(Any, ModelConnection(model)), cast(Any, ModelEngine(model)))

        monkeypatch.setattr("relman.app.releases.serving.Fleet", Remembering)
        return compare(Context(events=Quiet(), environ=shelf.env), Request("production"), "2")

    return on


def test_what_serves_is_compared_by_the_hosts_records(
    shelf: Shelf, serving: Callable[[dict[str, Deployed | None]], Comparison]
) -> None:
    """Its image is the one of the record, by digest, and its settings those kept there; a host that has no release is
    left out, one that does not answer is said."""
    digest = shelf.release("1", OLD, {REVISION: "a" * 40})
    shelf.release("2", NEW, labels_of({"app.conf": b"listen 80"}))
    entry = deployed("d", release="1", settings=DeploySettings(ports=(Port(80, host_port=8080),)))
    found = serving({"web1": replace(entry, manifest=digest)})
    assert (found.old.tag, found.old.manifest, found.old.commit, found.old.refusal) == ("1", digest, "a" * 40, "")
    assert [each.host for each in found.hosts] == ["web1"]
    assert ("8080:80", "192.0.2.1:80:80") in {(c.old, c.new) for c in found.hosts[0].changes}
    assert diff_document(found)["serving_on"] == ["web1"]
    assert diff_document(found)["unasked"].keys() == {"web2"}
    assert found.serving
    with pytest.raises(Unknown):
        found.serving.require_all()
    whole = serving({"web1": replace(entry, manifest=digest), "web2": None})
    assert whole.serving
    whole.serving.require_all()


def test_an_image_that_the_registry_lost_is_compared_by_what_hosts_know(
    shelf: Shelf, serving: Callable[[dict[str, Deployed | None]], Comparison]
) -> None:
    """Its commit and settings are in the records; the rest is unknown."""
    shelf.release("2", NEW, labels_of({"app.conf": b"listen 80"}))
    entry = replace(deployed("d", release="1"), commit="a" * 40)
    found = serving({"web1": entry, "web2": entry})
    assert (found.old.tag, found.old.commit, found.old.platform) == ("1", "a" * 40, None)
    assert "does not exist" in found.old.refusal
    assert [bool(each.changes) for each in found.hosts] == [True, True]
    out, err = io.StringIO(), io.StringIO()
    show_diff(Output(json=False, environ={}, stdout=out, stderr=err, stdin=None), found)
    assert "shop in production: 1 -> 2\n1 serves on web1, web2\n" in out.getvalue()
    rows = [line.split() for line in out.getvalue().splitlines()]
    assert ["size", "unknown", "1", "kB"] in rows
    assert [row[:2] for row in rows if row[:1] == ["tests"]] == [["tests", "unknown"]]
    assert "1 may not be deployed: " in err.getvalue()
    moved = replace(found, new=replace(found.new, tag="1", refusal="it has no evidence"))
    show_diff(Output(json=False, environ={}, stdout=out, stderr=err, stdin=None), moved)
    assert "1 may not be deployed: it has no evidence" in err.getvalue()
