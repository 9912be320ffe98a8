"""The CI stages as their user types them: releases of others, results, secrets, a shell, and what is left after."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from relman.ci.engine.owner import TEMPORARY
from relman.model.image import Repository
from relman.model.predicates import TEST_RESULT
from relman.registry.auth import Credentials
from relman.registry.client import Registry
from tests.contract.evidence import find
from tests.contract.shop import BUSYBOX, DATABASE
from tests.e2e.stage import ROOT, Ended
from tests.lab.lab import Lab
from tests.lab.process import until
from tests.lab.trixie import fetch

SECRET = "sw0rdfish"
DATABASE_YML = """
service: store
registry: {registry}
test:
  commands: ["echo tested"]
"""
SHOP_YML = """
service: market
registry: {registry}
test:
  services:
    store: {{release: store@stable}}
    front:
      release: store@stable
      depends_on: [store]
      env: {{STORE: "${{store.host}}:${{store.port}}", LOGIN: "${{secret:LOGIN}}"}}
  env: {{FRONT: "${{front.host}}:${{front.port}}", LOGIN: "${{secret:LOGIN}}"}}
  commands:
    - {{name: linked, run: 'test "$FRONT_ENV_STORE" = "$STORE_PORT_5432_TCP_ADDR:5432" && echo "as $LOGIN"'}}
    - {{name: cases, run: ./cases.sh, junit: out.xml, retries: 1}}
"""
CASES = """#!/bin/sh
echo '<testsuite><testcase name="buys" time="0.25"/><testcase name="MODE">RESULT</testcase></testsuite>' >out.xml
exit CODE
"""


@dataclass(frozen=True)
class Works:
    """The CI machine, with the checkouts of a store, which is released, and of a market that is tested with it."""

    lab: Lab
    home: Path

    @property
    def env(self) -> dict[str, str]:
        """The variables of a CI job."""
        return {"RELMAN_DATA_DIR": str(self.home / "data"), "PYTHONPATH": str(ROOT), "LOGIN": SECRET}

    def argv(self, *arguments: str) -> list[str]:
        """The command line of relman."""
        return [sys.executable, "-m", "relman", *arguments]

    def relman(
        self, *arguments: str, app: str = "market", code: int = 0, env: Mapping[str, str] | None = None
    ) -> Ended:
        """Run relman as a CI job in a checkout; it must end with `code`."""
        done = self.lab.ci.relman(*arguments, cwd=self.home / app, env={**self.env, **(env or {})})
        assert done.returncode == code, f"exit {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        assert SECRET not in done.stdout + done.stderr
        return Ended(done.returncode, done.stdout, done.stderr)

    def write(self, app: str, dockerfile: str, settings: str, result: str = "", code: int = 0) -> None:
        """A checkout with these files."""
        root = self.home / app
        root.mkdir(exist_ok=True)
        shutil.copy("/usr/bin/busybox", root / "busybox")
        (root / "Dockerfile").write_text(dockerfile)
        (root / "relman.yml").write_text(settings.format(registry=self.lab.registry.address))
        script = CASES.replace("MODE", "sells").replace("RESULT", result).replace("CODE", str(code))
        (root / "cases.sh").write_text(script)
        (root / "cases.sh").chmod(0o755)

    def market(self, result: str = "", code: int = 0, settings: str = SHOP_YML) -> None:
        """The market's checkout, with tests that end so."""
        dockerfile = BUSYBOX + "ENV PATH=/bin\nWORKDIR /app\nCOPY cases.sh /app/cases.sh\n"
        self.write("market", dockerfile + 'RUN ["/bin/busybox", "--install", "/bin"]\n', settings, result, code)

    def left(self) -> list[str]:
        """What the engine holds of any run: containers, networks, volumes."""
        with self.lab.ci.engine() as engine:
            any_run = {"label": TEMPORARY}
            found = [c["Names"][0] for c in engine.containers(all=True, filters=any_run)]
            found += [n["Name"] for n in engine.networks(filters=any_run)]
            return found + [v["Name"] for v in engine.volumes(filters=any_run)["Volumes"] or ()]


@pytest.fixture(scope="module")
def works(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Works:
    """The store, released as `stable`."""
    lab.registry.start()
    works = Works(lab, tmp_path_factory.mktemp("works"))
    works.write("store", DATABASE, DATABASE_YML)
    works.relman("ci", "--run", "store/1", app="store")
    return works


def test_a_run_from_end_to_end(works: Works) -> None:
    """Two services that are one release, one linked to the other, a secret, and counted tests: the evidence says which
    digest the market was tested with and what its tests came to, `relman show` says it too, and nothing is left."""
    works.market()
    said = works.relman("ci", "--run", "market/1", "--timings").out
    assert "as ***" in said
    assert "2 tests: 2 passed" in said
    assert "slowest: buys 0.25 s" in said
    own = next(line for line in said.splitlines() if line.startswith("relman "))
    assert float(own.split()[1]) > 0
    auth, host = works.lab.registry.auth, works.lab.registry.address
    registry = Registry(
        host, credentials=Credentials(auth["username"], auth["password"]), ca=str(works.lab.registry.ca)
    )
    store = registry.resolve(Repository(host, "store"), "stable").digest
    market = registry.resolve(Repository(host, "market"), "1").digest
    statements = [json.loads(opened.payload) for opened in find(registry, Repository(host, "market"), market)]
    (tested,) = (s["predicate"] for s in statements if s["predicateType"] == TEST_RESULT)
    configuration = {d["name"]: d for d in tested["configuration"]}
    for alias in ("store", "front"):
        assert configuration[f"service/{alias}"]["digest"] == {"sha256": store.hex}
    assert configuration["image-config"]["annotations"]["tests"] == {"tests": 2, "failed": 0, "skipped": 0}
    assert tested["passedTests"] == ["linked", "cases"]
    shown = works.relman("show", "market/1").out
    assert "cases: passed" in shown
    assert "2 tests: 2 passed" in shown
    assert works.left() == []
    kept = [file for file in works.home.rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()]
    assert kept == []


def test_tests_that_fail(works: Works) -> None:
    """A failure in the file is a failure of the run, whatever the exit code: each is shown with its message, there is
    no release, and the other way round it is the same."""
    works.market(result='<failure message="sold out"/>')
    said = works.relman("ci", "--run", "market/2", code=9)
    assert "1 of 2 tests failed, although it ended with 0" in said.text
    assert "FAILED sells" in said.text
    assert "sold out" in said.text
    assert "sold out" in works.relman("show", "market/2").out
    works.market(code=3)
    assert "exit code 3; its results show no failed test" in works.relman("ci", "--run", "market/3", code=9).text
    assert works.left() == []


def test_a_service_without_evidence(works: Works) -> None:
    """What was never promoted is no release to test with: refused by policy, and nothing is started."""
    auth = works.lab.registry.auth
    with works.lab.ci.engine() as engine:
        repository = f"{works.lab.registry.address}/store"
        engine.pull(repository, tag="stable", auth_config=auth)
        changed = engine.create_container(f"{repository}:stable", ["true"], labels={"x": "y"})["Id"]
        engine.commit(changed, repository, "unproved")
        engine.remove_container(changed)
        engine.push(repository, "unproved", auth_config=auth)
    works.market(settings=SHOP_YML.replace("store@stable", "store@unproved"))
    works.relman("build", "--run", "market/4")
    said = works.relman("test", "--run", "market/4", code=3)
    assert "starting" not in said.text
    assert works.left() == []


def test_what_is_wrong_is_said_before_anything_starts(works: Works) -> None:
    """An unknown name is found by `relman check`, at its place; a secret that is not set ends the run at once."""
    works.market(settings=SHOP_YML.replace("${{front.host}}", "${{fornt.host}}"))
    said = works.relman("check", code=2).err
    assert "relman.yml:11:16: test.env.FRONT: unknown name fornt.host" in said
    assert "did you mean front?" in said
    works.market()
    works.relman("build", "--run", "market/5")
    said = works.relman("test", "--run", "market/5", code=2, env={"LOGIN": ""}).err
    assert "test.env.LOGIN: secret:LOGIN has no value here" in said
    assert works.left() == []


def test_two_of_one_run(works: Works) -> None:
    """A second process of the same run is refused, and disturbs nothing of the first; cleaning up all old runs passes
    over the one at work."""
    works.market()
    works.relman("build", "--run", "market/6")
    slow = SHOP_YML.replace("run: ./cases.sh", "run: 'sleep 4; ./cases.sh'")
    works.market(settings=slow)
    first = subprocess.Popen(
        [*works.lab.ci.prefix, *works.argv("test", "--run", "market/6")],
        cwd=works.home / "market",
        env={**os.environ, **works.lab.env, **works.env},
        stdout=subprocess.PIPE,
        text=True,
    )
    with first:
        until(lambda: any(".test.2" in name for name in works.left()), "the tests to run")
        assert "market/6" in works.relman("test", "--run", "market/6", code=7).err
        works.relman("cleanup", "--older-than", "0s")
        assert first.wait(30) == 0
    assert works.left() == []


def test_two_services_of_one_pipeline(works: Works) -> None:
    """While one service's tests run, another service and a matrix job of the same run build and test on the same
    engine, all from machines that know nothing of each other: each passes, and removes its own and nothing else."""
    wait = "until test -e /go; do sleep 0.2; done"
    works.market(settings=f"service: market\nregistry: {{registry}}\ntest: {{{{commands: ['{wait}']}}}}\n")
    first = subprocess.Popen(
        [*works.lab.ci.prefix, *works.argv("ci", "--run", "pipeline/11")],
        cwd=works.home / "market",
        env={**os.environ, **works.lab.env, **works.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with first:
        try:
            until(lambda: any(".test.1" in name for name in works.left()), "the tests to run")
            running = works.left()
            elsewhere = {"RELMAN_DATA_DIR": str(works.home / "elsewhere")}
            works.market(settings=SHOP_YML.replace("service: market", "service: bazaar"))
            works.relman("ci", "--run", "pipeline/11", env=elsewhere)
            works.market()
            copy = {**elsewhere, "RELMAN_MATRIX": "2"}
            works.relman("build", "--run", "pipeline/11", env=copy)
            kept = works.relman("test", "--run", "pipeline/11", "--keep", env=copy).out
            assert len(works.left()) > len(running)
            assert "`RELMAN_MATRIX=2 relman cleanup --run pipeline/11`" in kept
            works.relman("cleanup", "--run", "pipeline/11", env=copy)
            assert works.left() == running
            (tests,) = (name for name in running if ".test.1" in name)
            with works.lab.ci.engine() as engine:
                engine.exec_start(engine.exec_create(tests.lstrip("/"), ["touch", "/go"])["Id"])
            assert first.wait(60) == 0, first.stdout and first.stdout.read()
            tags = [tag for image in engine.images() for tag in image["RepoTags"] or () if "pipeline" in tag]
        finally:
            first.kill()
    with works.lab.ci.engine() as engine:
        tags = [tag for image in engine.images() for tag in image["RepoTags"] or () if "pipeline" in tag]
    assert tags == []


def test_what_is_kept(works: Works) -> None:
    """--keep says what stays up and how to remove it, and that command removes it."""
    works.market()
    works.relman("build", "--run", "market/7")
    said = works.relman("test", "--run", "market/7", "--keep").out
    assert len(works.left()) == 5
    assert sum(line.startswith("kept ") for line in said.splitlines()) == 4
    assert "`relman cleanup --run market/7`" in said
    works.relman("cleanup", "--run", "market/7")
    assert works.left() == []


def test_a_shell(works: Works) -> None:
    """In a terminal --shell opens one in the exact image, with the environment of the tests; without a terminal it is
    refused before anything is done; afterwards nothing is left and the terminal is as it was."""
    works.market()
    works.relman("build", "--run", "market/8")
    assert "terminal" in works.relman("test", "--run", "market/8", "--shell", code=2).err
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(works.home / "market")
        argv = [*works.lab.ci.prefix, *works.argv("test", "--run", "market/8", "--shell")]
        os.execvpe(argv[0], argv, {**os.environ, **works.lab.env, **works.env})  # noqa: S606
    said = _conversation(terminal, "leave with `exit`", 'echo "[$FRONT_ENV_STORE] [$FRONT]"; pwd; exit 4\n')
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    assert ":5432] [" in said.partition("exit 4")[2]
    assert "/app" in said
    assert works.left() == []


def _conversation(terminal: int, prompt: str, answer: str) -> str:
    """Read until the end; after `prompt` and the shell's own, type `answer`."""
    said, typed, end = "", False, time.monotonic() + 60
    while time.monotonic() < end and select.select([terminal], [], [], 20)[0]:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # the other side has closed it
            break
        if not data:
            break
        said += data.decode(errors="replace")
        if not typed and prompt in said and "# " in said.rpartition(prompt)[2]:
            os.write(terminal, answer.encode())
            typed = True
    return said


def test_a_machine_with_buildkit(works: Works) -> None:
    """Where docker buildx is installed, the same commands build with it, and what they promote is proved the same."""
    works.market()
    plugins = fetch("docker-buildx") / "usr/libexec/docker/cli-plugins"
    path = {"PATH": f"{os.environ['PATH']}:{plugins}"}
    said = works.relman("ci", "--run", "market/9", env=path).out
    assert "exporting to image" in said
    assert "released" in said
    assert works.left() == []
