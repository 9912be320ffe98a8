"""A CI run, the report of its tests, and its release."""

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
RUN_TAGS = "run-"
"""What the tags of runs start with."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class RunName:
    """JOB/BUILD, the CI system's name of the run, which is displayed and signed. `service` and `matrix` (the index of a
    parallel copy of a job) distinguish the concurrent parts of one pipeline on one engine."""

    job: str
    build: str
    service: str = ""
    matrix: str = ""

    @classmethod
    def parse(cls, text: str, service: str = "", matrix: str = "") -> RunName:
        """Parse `JOB/BUILD`; the job is everything before the last slash. Raises UsageError."""
        job, _, build = text.rpartition("/")
        if not job or not build:
            raise UsageError(f"{text!r} is not a run's name", hint="Write it as JOB/BUILD, for example shop/118")
        return cls(job, build, service, matrix)

    @property
    def tag(self) -> str:
        """The run's tag in the registry: its parts, readable but possibly cut, and a hash that is unique to the run,
        service and matrix job."""
        parts = dict.fromkeys((self.service, *self.job.split("/"), self.matrix, self.build))
        readable = _UNSAFE.sub("-", "-".join(filter(None, parts))).strip("-.")[:_LONGEST]
        whole = json.dumps([self.job, self.build, self.service, self.matrix])
        return f"{RUN_TAGS}{readable}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"

    def __str__(self) -> str:
        return f"{self.job}/{self.build}"


@dataclass(frozen=True)
class Commit:
    """The commit that was built; `dirty` if the checkout had uncommitted changes. `revision` is empty outside git."""

    revision: str = ""
    branch: str = ""
    url: str = ""
    dirty: bool = False


@dataclass(frozen=True)
class CommandResult:
    """One test command: argv, exit code (None if it timed out), duration in seconds.

    `problem` is why it failed in spite of exit code 0: failures in its result files, or unreadable ones. `attempts` is
    more than 1 if it was retried. `ran_nothing` is True if its result files contain no executed test and relman.yml
    allows that: it has neither failed nor passed. `image` is the image it ran in if not the one under test:
    `repository@sha256:…` or a config digest. `smoke` marks the start of the image under test as it is deployed.
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
        """Whether it ended with exit code 0, ran tests, and reported no failure."""
        return self.good and not self.ran_nothing

    @property
    def good(self) -> bool:
        """Whether it did not fail, so that the next command may run."""
        return self.exit_code == 0 and not self.problem

    @property
    def title(self) -> str:
        """Its name, else its argv in shell syntax."""
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
    """The result of the test stage in one exact image.

    Times are RFC 3339 in UTC. `services` maps each alias to its image. `findings` is the content of the result files,
    None if no command writes any. `url` is the run's page in the CI system.
    """

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
        """Whether no result file contains an executed test."""
        return not (self.findings and self.findings.totals.ran)

    @property
    def smoke_only(self) -> bool:
        """Whether only the start of the image was tested."""
        return bool(self.commands) and all(c.smoke for c in self.commands)

    @property
    def flaky(self) -> tuple[str, ...]:
        """The commands that passed only when retried, and the test cases that failed and then passed."""
        commands = tuple(c.title for c in self.commands if c.passed and c.attempts > 1)
        return commands + (self.findings.flaky if self.findings else ())

    def to_json(self) -> dict[str, Any]:
        """The JSON form, read back by `from_json`."""
        data = dataclasses.asdict(self)
        return data | {"version": 1, "run": str(self.run), "matrix": self.run.matrix, "config": str(self.config)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TestReport:
        """Rebuild a report from `to_json`, also that of an older relman with fewer keys.

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
    """A release tag and the image that it names.

    `deploy` is the frozen deploy section, `files` are the contents of its files by name; `volumes` are the
    image's VOLUME paths, `entrypoint` its ENTRYPOINT, `has_healthcheck` whether it has a HEALTHCHECK; `created` is RFC
    3339. `skipped` describes each gate that a person skipped for it; `channels` are those that the promotion moved to
    it, which are not part of its identity.
    """

    repository: Repository
    tag: str
    manifest: ManifestDigest
    config: ConfigDigest
    platform: Platform
    deploy: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
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
