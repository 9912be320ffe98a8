"""A shared library from a commit to another application: tested, put on a private index, tagged, installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.apps import bases
from tests.apps.checkout import checkout, commit, git
from tests.e2e.stage import ROOT, Ended, Running
from tests.lab.lab import Lab
from tests.lab.trixie import fetch

WRITTEN_FOR = "10.77.0.254"
PLUGIN = "usr/libexec/docker/cli-plugins"


@dataclass(frozen=True)
class Works:
    """The CI machine, the library's checkout, and the remote that it is pushed to."""

    lab: Lab
    home: Path
    app: Path

    @property
    def remote(self) -> Path:
        """The remote repository."""
        return self.home / "remote.git"

    @property
    def env(self) -> dict[str, str]:
        """The variables of a CI job."""
        return {"RELMAN_DATA_DIR": str(self.home / "data"), "PYTHONPATH": str(ROOT), **self.lab.index.env}

    def argv(self, *arguments: str) -> list[str]:
        """The command line of relman."""
        return [sys.executable, "-m", "relman", *arguments]

    def relman(self, *arguments: str, code: int = 0, env: Mapping[str, str] | None = None) -> Ended:
        """Run relman as a CI job in the checkout; it must end with `code`."""
        done = self.lab.ci.relman(*arguments, cwd=self.app, env={**self.env, **(env or {})})
        assert done.returncode == code, f"exit {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        assert self.lab.index.password not in done.stdout + done.stderr
        return Ended(done.returncode, done.stdout, done.stderr)

    def next_version(self, version: str) -> str:
        """Commit another version of the library, and push the branch; returns the revision."""
        project = self.app / "pyproject.toml"
        lines = project.read_text().splitlines()
        project.write_text("\n".join(f'version = "{version}"' if "version =" in line else line for line in lines))
        revision = commit(self.app, f"Make it {version}")
        git(self.app, "push", "--quiet", "--force", "origin", "master")
        return revision

    def tested(self, version: str) -> str:
        """Build and test this version; returns the run's name."""
        self.next_version(version)
        run = f"money/{version}"
        self.relman("build", "--run", run)
        self.relman("test", "--run", run)
        return run

    def tag(self, name: str) -> str:
        """The commit that a tag stands for in the remote, empty where there is none."""
        return git(self.remote, "for-each-ref", "--format=%(*objectname)", f"refs/tags/{name}")

    def on_index(self, version: str) -> list[str]:
        """The files of a version that the index holds."""
        return [name for name in self.lab.index.names() if name.startswith(f"money-{version}")]


@pytest.fixture(scope="module")
def workshop(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Works:
    """The library's author, with a remote; version 1.0.0 is released by the playbook for libraries."""
    lab.registry.start()
    lab.index.start()
    bases.ensure("python-base", lab.dir / "ci/docker.sock")
    home = tmp_path_factory.mktemp("works")
    works = Works(lab, home, _checkout("money", home, lab))
    git(home, "init", "--quiet", "--bare", "remote.git")
    git(works.app, "remote", "add", "origin", str(works.remote))
    works.next_version("1.0.0")
    said = works.relman("run", str(ROOT / "playbooks/library.yml"), env={"JOB_NAME": "money", "BUILD_NUMBER": "1"}).out
    assert "refs/tags/v1.0.0" in said
    return works


@pytest.fixture
def works(workshop: Works) -> Iterator[Works]:
    """The same, the index up and the remote taking everything."""
    workshop.lab.index.start()
    yield workshop
    workshop.lab.index.start()


def _checkout(name: str, home: Path, lab: Lab) -> Path:
    root = checkout(name, home / name, lab.registry.address)
    file = root / "relman.yml"
    file.write_text(file.read_text().replace(WRITTEN_FOR, lab.layout.gateway))
    commit(root, "Use this lab's index")
    return root


def test_another_application_installs_the_released_library(works: Works) -> None:
    """Wheel and sdist are on the index and the annotated tag, with their hashes, is on the tested commit; an
    application that gets them from there, with the password as a secret of its build, is built, tested, released."""
    assert works.on_index("1.0.0") == ["money-1.0.0-py3-none-any.whl", "money-1.0.0.tar.gz"]
    assert works.tag("v1.0.0") == git(works.app, "rev-parse", "HEAD")
    message = git(works.remote, "for-each-ref", "--format=%(contents)", "refs/tags/v1.0.0")
    said = works.relman("--json", "promote", "--run", "money/1").out
    promoted = json.loads(said)
    assert promoted["release"] == "1.0.0"
    assert all(f"{digest}  {name}" in message for name, digest in promoted["files"].items())
    till = replace(works, app=_checkout("till", works.home, works.lab))
    login = works.lab.index.env
    address = works.lab.index.url.replace("//", f"//{login['RELMAN_INDEX_USERNAME']}:{works.lab.index.password}@")
    plugins = str(fetch("docker-buildx") / PLUGIN)
    secrets = {"TILL_INDEX_URL": f"{address}simple/", "TILL_INDEX_CA": works.lab.index.ca.read_text()}
    till.relman("ci", "--run", "till/1", env={**secrets, "PATH": f"{os.environ['PATH']}:{plugins}"})


def test_the_same_commit_is_the_same_release_and_another_is_refused(works: Works) -> None:
    """A second run of the commit makes the same bytes and ends well, uploading nothing; a changed library under the
    released version is refused with exit 3, and index and tag stay as they are."""
    released = git(works.app, "rev-parse", "HEAD")
    again = works.relman("ci", "--run", "money/2").out
    assert "uploading" not in again
    assert "is pushed already" in again
    (works.app / "money/extra.py").write_text("WORTH = 1\n")
    before = {name: (works.lab.index.files / name).read_bytes() for name in works.on_index("1.0.0")}
    works.next_version("1.0.0")
    works.relman("ci", "--run", "money/3", code=3)
    git(works.app, "tag", "--delete", "v1.0.0")
    git(works.app, "push", "--quiet", "origin", ":refs/tags/v1.0.0")
    said = works.relman("promote", "--run", "money/3", code=3).err
    assert "another money-1.0.0" in said
    assert works.tag("v1.0.0") == ""
    git(works.app, "tag", "-a", "-m", "1.0.0", "v1.0.0", released)
    git(works.app, "push", "--quiet", "origin", "v1.0.0")
    assert before == {name: (works.lab.index.files / name).read_bytes() for name in works.on_index("1.0.0")}


def test_what_was_interrupted_is_finished_by_the_next_run(works: Works) -> None:
    """With the index away, or the remote, exit 4 says so; each time the next attempt goes on, without the image, and in
    the end there is one release: files first, then the tag."""
    run = works.tested("1.1.0")
    works.lab.index.stop()
    said = works.relman("promote", "--run", run, code=4).err
    assert works.lab.index.address in said
    assert works.tag("v1.1.0") == ""
    works.relman("cleanup", "--run", run)
    works.lab.index.start()
    works.remote.rename(works.home / "away.git")
    said = works.relman("promote", "--run", run, code=4).err
    assert "read the tags of origin" in said
    assert works.on_index("1.1.0") == []
    (works.home / "away.git").rename(works.remote)
    hook = works.remote / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho 'out of order'; exit 1\n")
    hook.chmod(0o755)
    said = works.relman("promote", "--run", run, code=4).err
    assert "has no tag yet" in said
    assert "out of order" in said
    assert (len(works.on_index("1.1.0")), works.tag("v1.1.0")) == (2, "")
    hook.unlink()
    finished = works.relman("promote", "--run", run).out
    assert "uploading" not in finished
    assert works.tag("v1.1.0") == git(works.app, "rev-parse", "HEAD")


def test_a_release_is_refused_before_anything_is_uploaded(works: Works) -> None:
    """A wrong password (4), a tag on another commit (3), an uncommitted change (3): the index gets nothing."""
    run = works.tested("1.2.0")
    said = works.relman("promote", "--run", run, code=4, env={"RELMAN_INDEX_PASSWORD": "wr0ng-one"}).err
    assert "Is the password right" in said
    assert "wr0ng-one" not in said
    git(works.app, "tag", "-a", "-m", "early", "v1.2.0", "HEAD~1")
    git(works.app, "push", "--quiet", "origin", "v1.2.0")
    git(works.app, "tag", "--delete", "v1.2.0")
    assert "stands for commit" in works.relman("promote", "--run", run, code=3).err
    works.relman("cleanup", "--run", run)
    (works.app / "money/left.py").write_text("")
    assert "not in commit" in works.relman("ci", "--run", "money/dirty", code=3).err
    assert works.on_index("1.2.0") == []
    (works.app / "money/left.py").unlink()


def test_two_runs_of_the_same_build_do_not_meet(works: Works) -> None:
    """Started twice at once, one of them is told that the other is at work (7), and that one releases."""
    works.next_version("1.3.0")
    argv = [*works.lab.ci.prefix, *works.argv("ci", "--run", "money/twice")]
    env = {**os.environ, **works.lab.env, **works.env}
    ended = []
    with (
        subprocess.Popen(
            argv, cwd=works.app, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as a,
        subprocess.Popen(
            argv, cwd=works.app, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as b,
    ):
        ended = [Running(each, each.stdout).ended(60) for each in (a, b)]
    assert sorted(each.code for each in ended) == [0, 7]
    assert works.tag("v1.3.0") == git(works.app, "rev-parse", "HEAD")
    assert len(works.on_index("1.3.0")) == 2
