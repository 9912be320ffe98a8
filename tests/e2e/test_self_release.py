"""relman by relman: built, tested and released from a clone of this repository, and put to work as a container."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

import relman
from tests.apps import bases
from tests.apps.checkout import commit, git
from tests.e2e.stage import ROOT, Ended, Stage
from tests.lab import wheels
from tests.lab.lab import Lab

WHOLE = os.environ.get("RELMAN_TEST_ALL") == "1"
BASE = "relman-base:packages"
TAG = f"v{relman.__version__}"
QUICK = {"relman.yml": "image", "relman-library.yml": "unit"}
UNIT = ["tests/unit/test_ci_names.py", "tests/unit/test_ci_pure.py"]
PIP = "[global]\nno-index = true\nfind-links = /packages\n"
JOB = "/srv/job"


class Repository:
    """A clone of this repository as its maintainer has it on the CI machine, with a remote, for this lab."""

    def __init__(self, lab: Lab, home: Path) -> None:
        self.lab = lab
        self.root = home / "relman"
        git(home, "clone", "--quiet", "--no-tags", str(ROOT), "relman")
        for name in ("relman.yml", "relman-library.yml"):
            self._fit(self.root / name)
        commit(self.root, "Use this lab's registry and index")
        git(home, "init", "--quiet", "--bare", "remote.git")
        git(self.root, "remote", "set-url", "origin", str(home / "remote.git"))
        git(self.root, "push", "--quiet", "origin", "HEAD:main")
        self.env = {"RELMAN_DATA_DIR": str(home / "data"), "PYTHONPATH": str(ROOT), **lab.index.env}

    def _fit(self, file: Path) -> None:
        text = file.read_text().replace("registry.example.com:5000", self.lab.registry.address)
        said = yaml.safe_load(text.replace("https://packages.example.com/", self.lab.index.url))
        if not WHOLE:
            said["test"]["commands"] = [each for each in said["test"]["commands"] if each["name"] == QUICK[file.name]]
            if said["test"]["commands"][0]["run"][-1:] == ["tests/unit"]:
                said["test"]["commands"][0]["run"][-1:] = UNIT
        file.write_text(yaml.safe_dump(said, sort_keys=False))

    def relman(self, *arguments: str) -> str:
        """Run relman in the clone; it must end well."""
        done = self.lab.ci.run([sys.executable, "-m", "relman", *arguments], cwd=self.root, env=self.env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def repository(lab: Lab, tmp_path: Path) -> Repository:
    """The clone; the CI engine has a base image in which pip finds the locked packages, and the index is up."""
    bases.ensure(bases.RELMAN, lab.dir / "ci/docker.sock")
    with lab.ci.engine(300) as engine:
        said = engine.build(fileobj=_context(), custom_context=True, tag=BASE, rm=True, decode=True)
        assert [each["error"] for each in said if "error" in each] == []
    lab.index.start()
    return Repository(lab, tmp_path)


def _context() -> io.BytesIO:
    packed = io.BytesIO()
    files = {"Dockerfile": f"FROM {bases.load(bases.RELMAN).image}\nCOPY packages /packages\nCOPY pip.conf /etc/\n"}
    files["pip.conf"] = PIP
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(wheels.fetch("requirements-dev.lock"), "packages", filter=_readable)
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text), 0o644
            tar.addfile(member, io.BytesIO(text.encode()))
    packed.seek(0)
    return packed


def _readable(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mode = 0o755 if member.isdir() else 0o644
    return member


@pytest.mark.timeout(1200)
def test_relman_releases_itself_and_its_image_deploys(repository: Repository, stage: Stage) -> None:
    """From one commit relman makes its own package, with wheel, sdist and tag, and its own image, released under that
    tag with evidence of the tests in it. The image, run by a user with no rights, deploys a service to hosts with a key
    and a known_hosts that are mounted; to hosts that are not in it, it does not speak.

    Of what relman.yml and relman-library.yml run, this runs the look at the image and two files of unit tests; with
    RELMAN_TEST_ALL=1, as in `make soak`, all of it.
    """
    lab, library, base = stage.lab, ("-f", "relman-library.yml", "--run", "relman-library/1"), f"BASE={BASE}"
    repository.relman("build", *library, "--build-arg", base)
    repository.relman("test", *library)
    repository.relman("promote", *library)
    version = relman.__version__
    assert [name for name in lab.index.names() if name.startswith("relman")] == [
        f"relman-{version}-py3-none-any.whl",
        f"relman-{version}.tar.gz",
    ]
    assert git(repository.root, "ls-remote", "--tags", "origin", TAG)
    repository.relman("ci", "--run", "relman/1", "--build-arg", base)
    repository.relman("cleanup", *library)
    image = f"{lab.registry.address}/relman:{TAG}"
    job = _job(stage)
    mounted = ["docker", "run", "--rm", "--volume", f"{JOB}:/work:ro"]
    for name, value in job.items():
        mounted += ["--env", f"{name}={value}"]

    def ran(*arguments: str, code: int = 0, options: tuple[str, ...] = ()) -> Ended:
        done = lab.ci.run([*mounted, *options, image, *arguments])
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return Ended(code, done.stdout, done.stderr)

    assert ran("--version").out == f"relman {version}\n"
    ran("deploy", "2", "-e", "production", "--yes")
    stage.serve("2")
    assert {each["release"] for each in json.loads(ran("--json", "status", "-e", "production").out)["hosts"]} == {"2"}
    strangers = ran("status", "-e", "production", code=11, options=("--env", "RELMAN_KNOWN_HOSTS=nobody"))
    assert "ssh-keyscan" in strangers.text


def _job(stage: Stage) -> dict[str, str]:
    """Put what a job needs into a directory of the CI machine, for the image's user alone; returns the variables that
    lead to it."""
    lab, place = stage.lab, stage.lab.ci.machine.path(JOB)
    place.mkdir()
    shutil.copy(lab.dir / "ssh/id_ed25519", place / "key")
    shutil.copy(lab.dir / "ssh/known_hosts", place)
    (place / "nobody").touch()
    shutil.copy(lab.registry.ca, place / "ca.crt")
    hosts = {
        host.name: {"ansible_host": host.address, "ansible_user": "root", "ansible_ssh_private_key_file": "/work/key"}
        for host in lab.hosts
    }
    variables = {"relman_services": {"demo": str(stage.repository)}, "relman_registry_ca": "/work/ca.crt"}
    tree = {"production": {"hosts": hosts, "vars": variables}}
    (place / "inventory.yml").write_text(yaml.safe_dump(tree))
    for each in (place, *place.iterdir()):
        os.chown(each, 1000, 1000)
    auth = lab.registry.auth
    return {
        "RELMAN_INVENTORY": "inventory.yml",
        "RELMAN_KNOWN_HOSTS": "known_hosts",
        "RELMAN_REGISTRY": lab.registry.address,
        "RELMAN_REGISTRY_USERNAME": auth["username"],
        "RELMAN_REGISTRY_PASSWORD": auth["password"],
    }
