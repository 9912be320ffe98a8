"""A CI run, what its tests found, and the releases that come of it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from relman.model.errors import UsageError
from relman.model.image import ConfigDigest, ManifestDigest, Platform, Repository
from relman.model.test_cases import Findings

_LONGEST = 70  # a stage of the Dockerfile is named after it
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class RunName:
    """JOB/BUILD, as the CI system names the run: this is shown and signed. `service` and `matrix` (which of the
    parallel copies of a CI job) keep apart what one pipeline does at the same time on one engine."""

    job: str
    build: str
    service: str = ""
    matrix: str = ""

    @classmethod
    def parse(cls, text: str, service: str = "", matrix: str = "") -> RunName:
        """Read `JOB/BUILD`, the job being everything before the last slash; raises UsageError."""
        job, _, build = text.rpartition("/")
        if not job or not build:
            raise UsageError(f"{text!r} is not a run's name", hint="Write it as JOB/BUILD, for example shop/118")
        return cls(job, build, service, matrix)

    @property
    def tag(self) -> str:
        """The run's own tag in the registry: its parts for people, and a hash that sets it apart from every other run,
        service and matrix job, whatever is cut or lost."""
        parts = dict.fromkeys((self.service, *self.job.split("/"), self.matrix, self.build))
        readable = _UNSAFE.sub("-", "-".join(filter(None, parts))).strip("-.")[:_LONGEST]
        whole = json.dumps([self.job, self.build, self.service, self.matrix])
        return f"run-{readable}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"

    def __str__(self) -> str:
        return f"{self.job}/{self.build}"


@dataclass(frozen=True)
class Commit:
    """The commit that was built: `dirty` when the checkout had changes of its own. `revision` is empty outside git."""

    revision: str = ""
    branch: str = ""
    url: str = ""
    dirty: bool = False


@dataclass(frozen=True)
class CommandResult:
    """One test command: argv, exit code (None when it was timed out), duration in seconds.

    `problem` says why it failed in spite of its exit code: what its result files say, or that they cannot be read.
    `attempts` is more than 1 where it was run again. With `ran_nothing` its result files show no test that ran, which
    relman.yml allows: it has not failed, and is no pass. `image` is where it ran beside the image under test: a
    `repository@sha256:…` or a config digest. With `smoke` it is that image itself, started as it is deployed.
    """

    argv: tuple[str, ...]
    exit_code: int | None
    seconds: float
    name: str = ""
    problem: str = ""
    attempts: int = 1
    ran_nothing: bool = False
    image: str = ""
    smoke: bool = False

    @property
    def passed(self) -> bool:
        """Whether it ended with exit code 0 and its results say nothing else."""
        return self.good and not self.ran_nothing

    @property
    def good(self) -> bool:
        """Whether it did not fail: the next command may run."""
        return self.exit_code == 0 and not self.problem

    @property
    def title(self) -> str:
        """What it is called: its name, else its argv as a shell would take it."""
        return self.name or shlex.join(self.argv)

    @property
    def end(self) -> str:
        """How it ended, in a few words."""
        if self.smoke:
            return self.problem or "started, and healthy for its window"
        good = "no test ran, which is allowed" if self.ran_nothing else "passed"
        codes = {None: "timed out", 0: "exit code 0" if self.problem else good}
        end = codes.get(self.exit_code, f"exit code {self.exit_code}")
        return "; ".join(filter(None, (end, self.problem)))


@dataclass(frozen=True)
class TestReport:
    """What the test stage found in one exact image. Times are RFC 3339 in UTC. `services` maps each alias to the
    image that it ran. `findings` is what the commands' result files say, None where no command writes any. `url` is
    where the CI system shows the run."""

    __test__ = False

    run: RunName
    service: str
    config: ConfigDigest
    platform: Platform
    commit: Commit
    commands: tuple[CommandResult, ...]
    services: Mapping[str, str] = field(default_factory=dict)
    started: str = ""
    finished: str = ""
    findings: Findings | None = None
    url: str = ""

    @property
    def passed(self) -> bool:
        """Whether at least one command passed and none failed."""
        return any(c.passed for c in self.commands) and all(c.good for c in self.commands)

    @property
    def exit_code_only(self) -> bool:
        """Whether no result file shows a test that ran."""
        return not (self.findings and self.findings.totals.ran)

    @property
    def smoke_only(self) -> bool:
        """Whether no more is known than that the image starts and is healthy."""
        return bool(self.commands) and all(c.smoke for c in self.commands)

    @property
    def flaky(self) -> tuple[str, ...]:
        """The commands that passed only when they were run again, and the test cases that failed and then passed."""
        commands = tuple(c.title for c in self.commands if c.passed and c.attempts > 1)
        return commands + (self.findings.flaky if self.findings else ())

    def to_json(self) -> dict[str, Any]:
        """The JSON form, read back by `from_json`."""
        data = dataclasses.asdict(self)
        return data | {"version": 1, "run": str(self.run), "matrix": self.run.matrix, "config": str(self.config)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TestReport:
        """Rebuild from `to_json`, also of a relman that knew fewer keys.

        Raises KeyError, TypeError, ValueError or UsageError.
        """
        return cls(
            run=RunName.parse(data["run"], str(data["service"]), str(data.get("matrix", ""))),
            service=str(data["service"]),
            config=ConfigDigest(data["config"]),
            platform=Platform(**data["platform"]),
            commit=Commit(**data["commit"]),
            commands=tuple(CommandResult(**c | {"argv": tuple(c["argv"])}) for c in data["commands"]),
            services=dict(data["services"]),
            started=data["started"],
            finished=data["finished"],
            findings=Findings.from_json(data["findings"]) if data.get("findings") is not None else None,
            url=str(data.get("url", "")),
        )


@dataclass(frozen=True)
class Release:
    """A release tag and what it stands for. `deploy` is the frozen deploy section; `volumes` are the image's VOLUME
    paths, `entrypoint` is its ENTRYPOINT; `has_healthcheck` whether the image defines HEALTHCHECK; `created` is
    RFC 3339. `skipped` tells of each gate that a person left out for it; `channels` are those that a promotion left on
    it, and no part of what it is."""

    repository: Repository
    tag: str
    manifest: ManifestDigest
    config: ConfigDigest
    platform: Platform
    deploy: Mapping[str, Any] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()
    has_healthcheck: bool = False
    entrypoint: tuple[str, ...] = ()
    service: str = ""
    commit: str = ""
    created: str = ""
    skipped: tuple[str, ...] = ()
    channels: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return f"{self.repository.name}:{self.tag}"
