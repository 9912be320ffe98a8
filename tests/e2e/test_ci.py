"""From a commit to a host: the sample applications built, tested against a real database, promoted and deployed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from relman.ci.engine.owner import TEMPORARY
from relman.evidence.release import find_release
from relman.model.container import RUN
from relman.model.errors import UnknownTag
from relman.model.image import Repository
from relman.model.run import RunName
from relman.registry.auth import Credentials
from relman.registry.client import Registry
from tests.apps import bases
from tests.apps.checkout import checkout, commit
from tests.contract.evidence import find
from tests.e2e.stage import ROOT, Ended, Running
from tests.lab import forks
from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.lab.lab import at_once as everywhere
from tests.lab.process import patience, until

PORT = 8080


@dataclass(frozen=True)
class Works:
    """The CI machine with the checkouts of two applications, of which releases were made."""

    lab: Lab
    home: Path

    @property
    def env(self) -> dict[str, str]:
        """The variables of a CI job."""
        return {"RELMAN_DATA_DIR": str(self.home / "data"), "PYTHONPATH": str(ROOT)}

    @property
    def shop(self) -> Repository:
        """Where the shop's images are."""
        return Repository(self.lab.registry.address, "shop")

    @property
    def registry(self) -> Registry:
        """A client of the lab's registry."""
        auth = self.lab.registry.auth
        credentials = Credentials(auth["username"], auth["password"])
        return Registry(self.lab.registry.address, credentials=credentials, ca=str(self.lab.registry.ca))

    def relman(
        self, *arguments: str, app: Path | None = None, code: int = 0, env: Mapping[str, str] | None = None
    ) -> Ended:
        """Run relman as a CI job in a checkout, the shop's unless told otherwise; it must end with `code`."""
        done = self.lab.ci.relman(*arguments, cwd=app or self.home / "shop", env={**self.env, **(env or {})})
        assert done.returncode == code, f"exit {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return Ended(done.returncode, done.stdout, done.stderr)

    def documents(self, *arguments: str, app: Path | None = None) -> dict[str, dict[str, Any]]:
        """What relman says with --json, by kind."""
        lines = self.relman("--json", *arguments, app=app).out.splitlines()
        return {document["kind"]: document for document in map(json.loads, lines)}

    def another(self, name: str) -> Path:
        """Another checkout of the shop."""
        return checkout("shop", self.home / name, self.lab.registry.address)

    def left(self, run: str) -> list[str]:
        """What the engine still holds of a run: containers, networks, tagged images."""
        with self.lab.ci.engine() as engine:
            temporary, mine = {"label": f"{TEMPORARY}={run}"}, {"label": f"{RUN}={run}"}
            found = [c["Id"] for c in engine.containers(all=True, filters=temporary)]
            found += [n["Name"] for n in engine.networks(filters=temporary)]
            tags = [tag for image in engine.images(filters=mine) for tag in image["RepoTags"] or ()]
            return found + [tag for tag in tags if tag != "<none>:<none>"]


@pytest.fixture(scope="session")
def works(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Works:
    """The database's schema released as `stable`, then two releases of the shop that was tested against it."""
    lab.registry.start()
    bases.ensure_all(lab.dir / "ci/docker.sock")
    works = Works(lab, tmp_path_factory.mktemp("works"))
    schema = checkout("database-schema", works.home / "database-schema", lab.registry.address)
    shop = works.another("shop")
    settings = (shop / "relman.yml").read_text()
    channels = settings.replace("channels: [stable]", 'channels: [stable, "{job}-master"]')
    (shop / "relman.yml").write_text(channels.replace("window: 10s", "window: 1s"))
    commit(shop, "Be quick, and have a channel of the job's")
    works.relman("ci", "--run", "database-schema/7", app=schema)
    for build in ("117", "118", "119"):
        results = str(works.home / f"{build}.json")
        works.relman("ci", "--run", f"shop/{build}", "--build-arg", f"VERSION={build}", "--results", results)
    return works


def test_what_was_promoted_is_what_was_tested(works: Works) -> None:
    """The release is the tested image by its config digest, with evidence that names commit and database; the
    channels follow the newest, and nothing of the runs is left on the engine."""
    registry, newest = works.registry, find_release(works.registry, works.shop, "119")
    report = json.loads((works.home / "119.json").read_text())
    schema = registry.resolve(Repository(works.lab.registry.address, "database-schema"), "stable").digest
    assert str(newest.config) == report["config"]
    assert report["services"]["db"] == f"{works.lab.registry.address}/database-schema@{schema}"
    assert set(report["services"]) == {"cache", "db"}
    assert report["findings"]["totals"]["failed"] == 0 < report["findings"]["totals"]["tests"]
    statements = [found.payload.decode() for found in find(registry, works.shop, newest.manifest)]
    assert [schema.hex in statement for statement in statements].count(True) == 1
    assert report["commit"]["revision"] == newest.commit != ""
    assert newest.deploy["processes"]["web"]["health"]["window"] == "1s"
    for channel in ("stable", "shop-master"):
        assert registry.resolve(works.shop, channel).digest == newest.manifest
    assert find_release(registry, works.shop, "118").manifest != newest.manifest
    assert works.left("shop/118") + works.left("shop/119") + works.left("database-schema/7") == []


def test_a_second_user_deploys_what_ci_promoted_and_rolls_back_twice(works: Works, hosts: list[LabHost]) -> None:
    """With an empty data directory, the inventory, the key and the registry's password: three releases and twice
    back, while the orders in the volume stay; the same digest serves after every engine restarted."""
    home = works.home / "second user"
    home.mkdir()
    env = {k: v for k, v in {**os.environ, **works.lab.env}.items() if k != "DOCKER_HOST"}
    env |= {"RELMAN_DATA_DIR": str(home / "data"), "PYTHONPATH": str(ROOT), "QUEUE_PASSWORD": "not used"}
    tree = yaml.safe_load(Path(env["RELMAN_INVENTORY"]).read_text())
    tree["all"]["vars"] = {
        "relman_processes": {"shop": ["web"]},
        "relman_secrets": {"queue_password": {"variable": "QUEUE_PASSWORD"}},
        "queue_url": "",
    }
    (home / "inventory.yml").write_text(yaml.safe_dump(tree))
    env["RELMAN_INVENTORY"] = str(home / "inventory.yml")

    def relman(*arguments: str) -> str:
        done = forks.run("relman", *arguments, "-e", "production", cwd=home, env=env, timeout=120 * patience())
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    at_once = ("--yes", "--max-unavailable", "100%")
    relman("deploy", "117", *at_once)
    _serve(hosts, "117")
    order = json.loads(hosts[0].http(PORT, "/orders", json={"product_id": 1, "quantity": 3}).text)["id"]
    for tag in ("118", "119"):
        relman("deploy", tag, *at_once)
    for tag in ("118", "117"):
        relman("rollback", *at_once)
        _serve(hosts, tag)
    assert json.loads(hosts[0].http(PORT, f"/orders/{order}").text)["quantity"] == 3
    everywhere(host.restart_engine for host in hosts)
    _serve(hosts, "117")
    rows = json.loads(relman("--json", "status").splitlines()[0])["hosts"]
    assert {row["manifest"] for row in rows} == {str(works.registry.resolve(works.shop, "117").digest)}


def _serve(hosts: list[LabHost], version: str) -> None:
    for host in hosts:
        served = json.loads(until(lambda h=host: _version(h), f"{host.name} to serve", 15))  # type: ignore[misc]
        assert served == {"service": "shop", "version": version}


def _version(host: LabHost) -> str:
    try:
        return host.http(PORT, "/version").text
    except OSError:
        return ""


def test_failing_tests_make_no_release(works: Works) -> None:
    """One failing test: exit 9, the command and its output are shown, no tag appears, and the engine is clean."""
    broken = works.another("broken")
    (broken / "tests/test_broken.py").write_text("def test_sum():\n    assert 1 + 1 == 3\n")
    commit(broken, "Break the sum")
    said = works.relman("ci", "--run", "shop/200", app=broken, code=9)
    assert "test_sum" in said.out
    assert "FAILED tests.test_broken.test_sum" in said.err
    assert "assert (1 + 1) == 3" in said.err
    assert "exit code 1" in said.err
    with pytest.raises(UnknownTag):
        works.registry.resolve(works.shop, "200")
    assert works.left("shop/200") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_stopped_in_the_middle_of_its_tests_leaves_nothing(works: Works, number: signal.Signals) -> None:
    """Ctrl-C, or the CI system's cancel: 130 within seconds, and no container, network or image is left."""
    slow, run = works.another(f"slow-{number.name}"), f"shop/{number.name}"
    settings = (slow / "relman.yml").read_text()
    (slow / "relman.yml").write_text(
        settings.replace("[python3, -m, pytest,", "[sh, -c, echo fast asleep; sleep 60] #")
    )
    argv = [*works.lab.ci.prefix, sys.executable, "-m", "relman", "ci", "--run", run]
    env = {**os.environ, **works.lab.env, **works.env}
    job = subprocess.Popen(
        argv, cwd=slow, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True
    )
    with job:
        running = Running(job, job.stdout)
        running.says("\nfast asleep", 60)
        running.send(number)
        assert running.ended(20).code == 130
    assert works.left(run) == []
    with pytest.raises(UnknownTag):
        works.registry.resolve(works.shop, number.name)


def test_results_are_carried_to_a_machine_without_an_engine(works: Works) -> None:
    """Tested here, promoted there: with the results in a file and the image pushed, no engine is needed; a checkout
    with changes of its own is said, in the image and in the evidence, too."""
    dirty, file = works.another("dirty"), str(works.home / "300.json")
    (dirty / "left-over.txt").write_text("not committed")
    built = works.relman("build", "--run", "shop/300", app=dirty)
    assert "with uncommitted changes" in built.out
    works.relman("test", "--run", "shop/300", "--results", file, "--push", app=dirty)
    elsewhere = {"DOCKER_HOST": "unix:///nowhere", "RELMAN_DATA_DIR": str(works.home / "elsewhere")}
    works.relman("cleanup", "--run", "shop/300")
    refused = works.relman("promote", "--run", "shop/300", app=dirty, code=2, env=elsewhere)
    assert "--results" in refused.err
    works.relman("promote", "--results", file, app=dirty, env=elsewhere)
    release = find_release(works.registry, works.shop, "300")
    statements = [found.payload.decode() for found in find(works.registry, works.shop, release.manifest)]
    assert any('"dirty":true' in statement for statement in statements)
    rows = json.loads(works.relman("releases", "--json", app=dirty).out.splitlines()[0])["releases"]
    assert {row["tag"]: row["dirty"] for row in rows}["300"]
    assert "(dirty)" in works.relman("releases", app=dirty).out


def test_results_of_another_image_are_refused(works: Works) -> None:
    """What 119 passed says nothing about 118, whatever the file is called."""
    wrong = ["--results", str(works.home / "119.json")]
    said = works.relman("promote", "--image", "118", *wrong, code=3).err
    assert "config-is-the-tested-one" in said
    assert works.registry.resolve(works.shop, "119").digest == find_release(works.registry, works.shop, "119").manifest


def test_a_release_is_never_moved(works: Works) -> None:
    """A build number used twice is refused before anything is built; a tested image, too, that would take the tag
    of another release."""
    before = works.registry.resolve(works.shop, "118").digest
    said = works.relman("ci", "--run", "shop/118", code=3)
    assert "already exists" in said.err
    assert "Step" not in said.out
    works.relman("build", "--run", "other/118")
    works.relman("test", "--run", "other/118")
    assert "never moves" in works.relman("promote", "--run", "other/118", code=3).err
    assert works.registry.resolve(works.shop, "118").digest == before
    works.relman("cleanup", "--run", "other/118")
    assert works.left("other/118") == []


def test_programs_read_every_stage(works: Works) -> None:
    """With --json every stage is one document, and they agree on the image; the history keeps run and release."""
    said = works.documents("ci", "--run", "shop/400")
    assert list(said) == ["build", "test", "promote", "cleanup"]
    assert {d["run"] for d in said.values()} == {"shop/400"}
    assert {d["version"] for d in said.values()} == {1}
    assert len({said[kind]["config"] for kind in ("build", "test", "promote")}) == 1
    assert said["test"]["passed"] is True
    promoted = said["promote"]
    assert (promoted["release"], promoted["channels"]) == ("400", ["stable", "shop-master"])
    assert promoted["manifest"] == str(works.registry.resolve(works.shop, "400").digest)
    assert said["cleanup"]["removed"] == [f"image {works.shop}:{RunName('shop', '400', 'shop').tag}"]
