"""Evidence as a team lives with it: signed in CI, demanded by environments, checked by anybody, and tampered with."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from relman.model.image import ConfigDigest, ManifestDigest, Platform, Repository
from relman.model.run import CommandResult, Commit, RunName, TestReport
from tests.e2e.stage import Stage
from tests.lab import images
from tests.lab.images import PORT

PASSPHRASE = "correct horse battery"
STAGED = 2


class Team:
    """A team with a signing key in CI, and an inventory whose environments trust it alone."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.secret = {"RELMAN_KEY_PASSPHRASE": PASSPHRASE, "RELMAN_SIGNING_KEY_FILE": str(stage.home / "ci.key")}
        h1, h2, h3 = (h.name for h in stage.lab.hosts)
        policy = [{"minimum_tests": 1}, {"proven_in": {"environment": "staging", "at_least": f"{STAGED}s"}}]
        stage.write_inventory(
            {
                "staging": {"hosts": {h1: None}},
                "production": {"hosts": {h2: None, h3: None}, "vars": {"relman_policy": policy}},
            },
            relman_trust="trust.yml",
        )
        stage.relman(
            "key", "new", "ci", "--out", "ci.key", "--repository", f"{stage.lab.registry.address}/*", env=self.secret
        )
        (stage.home / "relman.yml").write_text(
            f"service: demo\nregistry: {stage.lab.registry.address}\nrelease:\n  channels: []\n  trust: trust.yml\n"
        )

    def promote(self, tag: str, *arguments: str, code: int = 0, signed: bool = True) -> str:
        """Promote the image of run demo/TAG, that is in the registry, with what its tests found."""
        config, _ = self.stage.image(f"run-{tag}")
        found = report(config, tag)
        file = self.stage.home / f"{tag}.json"
        file.write_text(json.dumps(found.to_json()))
        env = self.secret if signed else {}
        line = ("promote", "--image", f"run-{tag}", "--results", str(file), *arguments)
        return self.stage.relman(*line, code=code, env=env).text

    def deploy(self, tag: str, environment: str, *arguments: str, code: int = 0) -> str:
        """Deploy without any key: nobody but CI needs one."""
        return self.stage.relman("deploy", tag, "-e", environment, "--yes", *arguments, code=code).text


def report(config: str, tag: str) -> TestReport:
    """What run demo/TAG found in the image."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return TestReport(
        run=RunName("demo", tag),
        service="demo",
        config=ConfigDigest(config),
        platform=Platform("linux", "amd64"),
        commit=Commit("0" * 40, "main"),
        commands=(CommandResult(("true",), 0, 0.1),),
        started=now,
        finished=now,
    )


@pytest.fixture
def team(stage: Stage) -> Iterator[Team]:
    """A team of its own for each test."""
    team = Team(stage)
    yield team
    for file in Path(stage.home).glob("ci*.key*"):
        file.unlink()


def point(stage: Stage, tag: str, at: str) -> None:
    """Re-point a tag, behind relman's back."""
    registry = stage.registry()
    registry.put_manifest(stage.repository, tag, registry.resolve(stage.repository, at))


def test_only_what_ci_signed_and_staging_proved_comes_to_production(team: Team) -> None:
    """Unsigned is refused by name; signed goes to staging; production wants it proven there for a while first, unless a
    person leaves that out, which is shown from then on. Each refusal leaves the hosts as they were."""
    stage = team.stage
    stage.release("plain")
    assert "signature-is-trusted" in team.deploy("plain", "staging", code=3)
    assert "there is no key" in team.promote("signed-1", code=2, signed=False)
    team.promote("signed-1")
    assert "proven-in" in team.deploy("signed-1", "production", code=3)
    gate = stage.relman("gate", "signed-1", "-e", "production", code=3)
    assert "Deploy it there: relman deploy signed-1 -e staging" in gate.out
    assert stage.versions() == ["-", "-", "-"]
    team.deploy("signed-1", "staging")
    time.sleep(STAGED)
    assert "may be deployed" in stage.relman("gate", "signed-1", "-e", "production").text
    team.deploy("signed-1", "production")
    stage.serve("signed-1")

    team.promote("signed-2")
    assert "--reason" in team.deploy("signed-2", "production", "--unsafe-skip-gate", "proven-in", code=2)
    skip = ("--unsafe-skip-gate", "proven-in", "--reason", "the shop burns")
    assert "the shop burns" in team.deploy("signed-2", "production", *skip)
    for line in (("status", "-e", "production"), ("history",), ("verify", "-e", "production")):
        assert "the shop burns" in stage.relman(*line).text
    assert stage.versions() == ["signed-1", "signed-2", "signed-2"]
    stage.relman("rollback", "-e", "production", "--yes")
    assert "the shop burns" not in stage.relman("status", "-e", "production").text


def test_tampering_is_found_and_nothing_changes(team: Team) -> None:
    """A release tag that somebody points at another, tested and released image is refused by verify and deploy; another
    image in a host's container is found by verify -e, by the host's name."""
    stage = team.stage
    team.promote("moved-1")
    team.promote("moved-2")
    team.deploy("moved-1", "staging")
    assert "is valid" in stage.relman("verify", "moved-1", "-e", "staging").text
    assert "what was tested" in stage.relman("verify", "-e", "staging").text
    point(stage, "moved-1", "moved-2")
    for ended in (
        stage.relman("verify", "moved-1", "-e", "staging", code=3).text,
        stage.relman("verify", f"{stage.repository}:moved-1", "--key", "ci.key.pub", code=3).text,
        team.deploy("moved-1", "staging", code=3),
    ):
        assert "release-statement" in ended
        assert "it is the release moved-2" in ended
    assert stage.versions()[0] == "moved-1"
    assert "moved-1" in stage.relman("verify", "-e", "staging").out

    host = stage.lab.hosts[0]
    with host.engine() as engine:
        (running,) = (c for c in engine.containers() if c["Labels"].get("relman.service") == "demo")
        images.pull(engine, str(stage.repository), "moved-2", stage.lab.registry.auth)
        labels = running["Labels"]
        engine.remove_container(running["Id"], force=True)
        made = engine.create_container(
            stage.repository.tag("moved-2"),
            name=running["Names"][0].lstrip("/"),
            labels=labels,
            ports=[PORT],
            host_config=engine.create_host_config(port_bindings={PORT: PORT}),
        )
        engine.start(made["Id"])
    said = stage.relman("verify", "-e", "staging", code=8).text
    assert host.name in said
    assert "not what was tested" in said


def test_keys_are_rotated_and_revoked(team: Team) -> None:
    """What the old key signed stays good after a rotation; a revoked key counts for nothing but what was accepted."""
    stage = team.stage
    team.promote("keyed-1")
    team.promote("keyed-2")
    digest = json.loads(stage.relman("--json", "verify", "keyed-1", "-e", "staging").out.splitlines()[0])["manifest"]
    stage.relman("key", "rotate", "ci", "ci-2", "--out", "ci-2.key", env=team.secret)
    team.deploy("keyed-1", "staging")
    assert "is not valid since" in team.promote("keyed-3", code=3)
    team.secret["RELMAN_SIGNING_KEY_FILE"] = str(stage.home / "ci-2.key")
    team.promote("keyed-3")
    team.deploy("keyed-3", "staging")
    stage.relman("key", "revoke", "ci", "--reason", "laptop stolen", "--accept", digest)
    assert "laptop stolen" in stage.relman("key", "show").out
    assert "key-is-not-revoked" in team.deploy("keyed-2", "staging", code=3)
    team.deploy("keyed-1", "staging")
    stage.relman("rollback", "-e", "staging", "--yes", code=0)


def test_a_release_is_promoted_to_another_repository(team: Team) -> None:
    """The same digest, verified there by its own release statement; again it finds everything there; a policy or a key
    that forbids it leaves the other repository empty."""
    stage = team.stage
    team.promote("copied-1")
    elsewhere = Repository(stage.lab.registry.address, "elsewhere/demo")
    assert "there is no key" in stage.relman("promote", "copied-1", "--to", str(elsewhere), code=2).text
    assert stage.registry().find(elsewhere, "copied-1") is None
    said = stage.relman("promote", "copied-1", "--to", str(elsewhere), "--channel", "stable", env=team.secret).text
    assert f"released {elsewhere}:copied-1" in said
    again = stage.relman("promote", "copied-1", "--to", str(elsewhere), "--channel", "stable", env=team.secret).text
    assert "everything was there already" in again
    verified = stage.relman("--json", "verify", f"{elsewhere}:stable", "--key", "ci.key.pub").out
    here = stage.registry().resolve(stage.repository, "copied-1").digest
    assert ManifestDigest(json.loads(verified.splitlines()[0])["manifest"]) == here
    shown = stage.relman("--json", "evidence", f"{elsewhere}:copied-1", "--key", "ci.key.pub").out
    statements = json.loads(shown.splitlines()[0])["statements"]
    assert {s["signer"] for s in statements} == {"ci.key.pub"}
    assert len(statements) == 3
    point(stage, "copied-2", "run-copied-1")
    assert (
        "release-statement" in stage.relman("promote", "copied-2", "--to", str(elsewhere), env=team.secret, code=3).text
    )
    assert stage.registry().find(elsewhere, "copied-2") is None
