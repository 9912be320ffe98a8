"""The examples in docs/ci, run step by step as each CI system runs them: from a commit to a host."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from relman.ci.engine.owner import TEMPORARY
from relman.evidence.release import find_release
from relman.model.image import Repository
from relman.registry.auth import Credentials
from relman.registry.client import Registry
from tests.apps.checkout import commit, git
from tests.contract.evidence import find
from tests.e2e.stage import ROOT, Running, Stage
from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.lab.process import patience

EXAMPLES = ROOT / "docs/ci"
NAME = "ci-demo"
DOCKERFILE = """FROM scratch
COPY busybox /bin/busybox
COPY busybox /bin/sh
COPY www /www
ENV PATH=/bin
EXPOSE 8080
STOPSIGNAL SIGKILL
CMD ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/www"]
"""


@dataclass
class Job:
    """A job of a CI system: its variables, and what its steps said."""

    lab: Lab
    root: Path
    home: Path
    env: dict[str, str]
    said: str = ""
    outputs: dict[str, str] = field(default_factory=dict)

    def step(self, script: str, extra: Mapping[str, str] | None = None) -> None:
        """Run a shell step as the systems do: it ends at the first command that fails."""
        argv = ["sh", "-e", "-c", textwrap.dedent(script)]
        done = self.lab.ci.run(argv, cwd=self.root, env={**self.env, **(extra or {})})
        self.said += done.stdout + done.stderr
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"


def _read(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


def jenkins(job: Job) -> None:
    """The `sh` steps of the declarative pipeline, in the order of its stages."""
    text = (EXAMPLES / "Jenkinsfile").read_text()
    steps = [a or b for a, b in re.findall(r"sh (?:'''(.*?)'''|'(.*?)')", text, re.DOTALL)]
    assert len(steps) == text.count("sh '") == 4
    job.env["RELMAN_OUTPUT"] = str(job.home / "relman.properties")
    for step in steps:
        job.step(step)
    job.outputs = {k.removeprefix("RELMAN_").lower(): v for k, v in _read(job.home / "relman.properties").items()}


def github(job: Job) -> None:
    """Every `run` of the workflow's jobs; the outputs of one are the variables of the next, as its `env` says."""
    files = {name: job.home / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for file in files.values():
        file.touch()
    job.env |= {name: str(file) for name, file in files.items()} | {"RUNNER_TEMP": str(job.home)}
    for described in yaml.safe_load((EXAMPLES / "github.yml").read_text())["jobs"].values():
        job.outputs = _read(files["GITHUB_OUTPUT"])
        for step in described["steps"]:
            wanted = {name: re.search(r"outputs\.(\w+)", value) for name, value in described.get("env", {}).items()}
            extra = {name: job.outputs[found[1]] for name, found in wanted.items() if found}
            if "run" in step:
                job.step(step["run"], extra)
    summary = files["GITHUB_STEP_SUMMARY"].read_text()
    assert f"### {NAME}: tests passed" in summary
    assert f"### {NAME}: released {job.outputs['release']}" in summary


def gitlab(job: Job) -> None:
    """Every script of the pipeline's jobs; the dotenv report of one is in the variables of the next."""
    pipeline = yaml.safe_load((EXAMPLES / "gitlab-ci.yml").read_text())
    dotenv: dict[str, str] = {}
    job.env["CI_PROJECT_DIR"] = str(job.home)
    for described in (pipeline[name] for name in pipeline["stages"]):
        variables = {
            name: value.replace("$CI_PROJECT_DIR", str(job.home))
            for name, value in described.get("variables", {}).items()
        }
        for step in described["script"] + described.get("after_script", []):
            job.step(step, {**dotenv, **variables})
        if report := described.get("artifacts", {}).get("reports", {}).get("dotenv"):
            dotenv = _read(job.home / report)
    job.outputs = {k.removeprefix("RELMAN_").lower(): v for k, v in dotenv.items()}


SYSTEMS = {
    "jenkins": (
        jenkins,
        {"JOB_NAME": "team/ci-demo", "BUILD_NUMBER": "11", "GIT_BRANCH": "origin/master", "BUILD_USER_ID": "ada"},
        {"BUILD_URL": "https://jenkins.example/job/11/"},
        (r"^== build ci-demo, run team/ci-demo/11$",),
    ),
    "github": (
        github,
        {
            "GITHUB_REPOSITORY": "team/ci-demo",
            "GITHUB_WORKFLOW": "release",
            "GITHUB_RUN_NUMBER": "12",
            "GITHUB_REF_NAME": "master",
            "GITHUB_ACTOR": "ada",
        },
        {"GITHUB_SERVER_URL": "https://github.example", "GITHUB_RUN_ID": "99"},
        (r"^::group::build ci-demo, run team/ci-demo/release/12$", r"^::endgroup::$"),
    ),
    "gitlab": (
        gitlab,
        {
            "CI_PROJECT_PATH": "team/ci-demo",
            "CI_PIPELINE_IID": "13",
            "CI_COMMIT_BRANCH": "master",
            "GITLAB_USER_LOGIN": "ada",
        },
        {"CI_JOB_URL": "https://gitlab.example/jobs/5"},
        (
            r"section_start:\d+:relman_1[\r\n]\x1b\[0Kbuild ci-demo, run team/ci-demo/13$",
            r"section_end:\d+:relman_1[\r\n]",
        ),
    ),
}
URLS = {
    "jenkins": "https://jenkins.example/job/11/",
    "github": "https://github.example/team/ci-demo/actions/runs/99",
    "gitlab": "https://gitlab.example/jobs/5",
}


@pytest.fixture
def job(lab: Lab, hosts: list[LabHost], tmp_path: Path) -> Iterator[Job]:
    """A checkout of a tiny service as a CI system makes it, on a commit and no branch; its environments."""
    assert len(hosts) == 3
    repository = f"{lab.registry.address}/{NAME}"
    stage = Stage(lab, tmp_path)
    names = [host.name for host in hosts]
    groups = {"staging": {"hosts": {names[0]: None}}, "production": {"hosts": dict.fromkeys(names[1:])}}
    stage.write_inventory(groups, relman_services={NAME: repository})
    root = tmp_path / "checkout"
    (root / "www").mkdir(parents=True)
    shutil.copy("/usr/bin/busybox", root / "busybox")
    (root / "www/health").write_text("ok\n")
    (root / "Dockerfile").write_text(DOCKERFILE)
    settings = {
        "service": NAME,
        "registry": lab.registry.address,
        "test": {"commands": [["sh", "-c", "busybox test -e /www/health"]]},
        "deploy": {
            "ports": ["8080:8080"],
            "health": {"http": {"port": 8080, "path": "/health"}, "window": "500ms"},
        },
    }
    (root / "relman.yml").write_text(yaml.safe_dump(settings, sort_keys=False))
    git(tmp_path, "init", "--quiet", "--initial-branch=master", str(root))
    commit(root, "A tiny service")
    git(root, "checkout", "--quiet", "--detach")
    known = ("JOB_NAME", "GITHUB_", "CI_", "BUILD_")
    blank = {name: "" for name in os.environ if name.startswith(known)}
    env = {
        **blank,
        "RELMAN_DATA_DIR": str(tmp_path / "data"),
        "RELMAN_INVENTORY": str(stage.inventory),
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    yield Job(lab, root, tmp_path, env)
    assert left(lab) == []


def left(lab: Lab) -> list[str]:
    """What runs of the service left on the engine."""
    with lab.ci.engine() as engine:
        found = [c["Names"][0] for c in engine.containers(all=True, filters={"label": TEMPORARY})]
        found += [n["Name"] for n in engine.networks(filters={"label": TEMPORARY})]
        tags = [tag for image in engine.images() for tag in image["RepoTags"] or ()]
        return found + [tag for tag in tags if f"/{NAME}:run-" in tag]


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_example_brings_a_commit_to_the_hosts(job: Job, name: str) -> None:
    """Run by run name, branch, actor and address of the log are its system's; later steps know release and digest; the
    log has the system's groups; and both environments serve what was promoted."""
    run_steps, variables, more, lines = SYSTEMS[name]
    job.env |= {**variables, **more}
    run_steps(job)
    address = job.lab.registry.address
    credentials = Credentials("ci", job.lab.registry.password)
    with Registry(address, credentials=credentials, ca=str(job.lab.registry.ca)) as registry:
        repository = Repository(address, NAME)
        release = find_release(registry, repository, job.outputs["release"])
        statements = b" ".join(found.payload for found in find(registry, repository, release.manifest)).decode()
    assert job.outputs["digest"] == str(release.manifest)
    assert release.commit == git(job.root, "rev-parse", "HEAD")
    assert '"branch":"master"' in statements
    assert URLS[name] in statements
    for line in lines:
        assert re.search(line, job.said, re.MULTILINE), job.said
    assert [host.http(8080, "/health").status for host in job.lab.hosts] == [200, 200, 200]
    history = json.loads(job.lab.ci.relman("--json", "history", cwd=job.root, env=job.env).stdout)["entries"]
    assert {entry["by"].partition(" ")[0] for entry in history} == {"ada"}


def test_a_cancelled_job_is_in_order_before_it_is_killed(job: Job) -> None:
    """GitHub's escalation in the middle of the tests: SIGINT, then SIGTERM, again and again. The run ends with 130 well
    before SIGKILL would come after ten seconds, and nothing of it is left."""
    file = job.root / "relman.yml"
    file.write_text(file.read_text().replace("busybox test -e /www/health", "echo asleep; busybox sleep 60"))
    env = {**os.environ, **job.lab.env, **job.env}
    argv = [*job.lab.ci.prefix, sys.executable, "-m", "relman", "ci", "--run", f"{NAME}/14"]
    process = subprocess.Popen(
        argv,
        cwd=job.root,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    with process:
        running = Running(process, process.stdout)
        running.says("\nasleep", 60)
        begin = time.monotonic()
        running.send(signal.SIGINT)
        while process.poll() is None and time.monotonic() < begin + 10 * patience():
            time.sleep(0.05)
            running.send(signal.SIGTERM)
        assert time.monotonic() - begin < 7.5 * patience()
        assert running.ended(10).code == 130
    assert left(job.lab) == []
