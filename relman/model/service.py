"""What one relman.yml describes: the service, how it is built, tested, released and deployed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from relman.model.image import ImageRef, Platform, Repository
from relman.model.policy import Demands
from relman.model.settings import Healthcheck, Mount

IMAGE_ENTRYPOINT = "image"
APP = "app"
"""The host name of the image under test, where tests run beside it."""


@dataclass(frozen=True)
class BuildSecret:
    """A secret that RUN --mount=type=secret,id=ID reads: the value of the variable `env`, or the content of `file` (a
    path relative to relman.yml). One of the two is given."""

    id: str
    env: str = ""
    file: str = ""


@dataclass(frozen=True)
class Build:
    """How the image is built; `context` and `dockerfile` are relative to relman.yml and to the context. `cache_from`
    are images whose layers may be reused. Without a `platform` it is the engine's own."""

    context: str = "."
    dockerfile: str = "Dockerfile"
    args: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    secrets: tuple[BuildSecret, ...] = ()
    cache_from: tuple[str, ...] = ()
    platform: Platform | None = None


@dataclass(frozen=True)
class Wait:
    """When a linked service counts as ready. At most one of `tcp`, `http_port`, `command` is given; none of them
    means the image's HEALTHCHECK if it has one, else its lowest TCP port. `http_host` is the Host that is asked for, ""
    the address. `timeout` in seconds."""

    tcp: int | None = None
    http_port: int | None = None
    http_path: str = "/"
    command: tuple[str, ...] | None = None
    timeout: float = 60.0
    http_host: str = ""
    http_headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LinkedService:
    """A service container that tests are linked to, under `alias`.

    It runs `image`, or the image of another team's `release`, which must have evidence. It is started once those in
    `depends_on` are ready. `env` may refer to those (config.mapping). `ports` adds to the image's exposed ports; a
    mount's source is a volume of the run's own or an absolute path; `tmpfs` maps a path to the engine's options;
    `healthcheck` is what it has in place of the image's.
    """

    alias: str
    image: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] | None = None
    ports: tuple[int, ...] = ()
    wait: Wait = field(default_factory=Wait)
    release: ImageRef | None = None
    depends_on: tuple[str, ...] = ()
    volumes: tuple[Mount, ...] = ()
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    healthcheck: Healthcheck | None = None

    @property
    def source(self) -> str:
        """What it runs, as written."""
        return str(self.release) if self.release else self.image


@dataclass(frozen=True)
class TestCommand:
    """One test command. `timeout` in seconds, None for the stage's; `junit` are the files or directories of JUnit XML
    that it writes; `retries` is how often a command known as flaky is run again. It runs in the image under test, or
    beside it: in another `image`, or in what the Dockerfile makes at `stage`."""

    __test__ = False

    argv: tuple[str, ...]
    name: str = ""
    timeout: float | None = None
    junit: tuple[str, ...] = ()
    retries: int = 0
    allow_no_tests: bool = False
    image: str = ""
    stage: str = ""

    @property
    def beside(self) -> bool:
        """Whether it runs in another container than one of the image under test."""
        return bool(self.image or self.stage)

    @property
    def title(self) -> str:
        """What it is called: its name, else its argv as a shell would take it."""
        return self.name or shlex.join(self.argv)


@dataclass(frozen=True)
class TestStage:
    """The test stage: commands run in order inside the exact image, with the services linked. `env` may refer to them
    (config.mapping). `timeout` is in seconds a command. `entrypoint` is what they are run with: IMAGE_ENTRYPOINT, words
    of its own, none of them for nothing; None where nobody says, and then it is the image's. With `smoke` the
    image has to start as it is deployed, and be healthy for its window, before any command."""

    __test__ = False

    services: tuple[LinkedService, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    commands: tuple[TestCommand, ...] = ()
    timeout: float = 1800.0
    entrypoint: tuple[str, ...] | str | None = None
    smoke: bool = False

    @property
    def starts_app(self) -> bool:
        """Whether the image under test is started as it is deployed, under the name APP."""
        return self.smoke or any(command.beside for command in self.commands)

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages of the Dockerfile in which commands run."""
        return tuple(dict.fromkeys(command.stage for command in self.commands if command.stage))

    @property
    def own_entrypoint(self) -> tuple[str, ...] | None:
        """The words that replace the image's ENTRYPOINT; None where it stays."""
        return self.entrypoint if isinstance(self.entrypoint, tuple) else None


@dataclass(frozen=True)
class Library:
    """How a shared library is released: `build` makes its files under `dist` inside the tested image, they go to the
    package index at the URL `index`, and then the commit gets `git_tag`, pushed to `remote`."""

    index: str
    build: tuple[str, ...] = ("python3", "-m", "build", "--no-isolation")
    dist: str = "dist"
    git_tag: str = "v{version}"
    remote: str = "origin"


@dataclass(frozen=True)
class ReleaseRules:
    """Under which tag a passed run is released, the channels that follow, and what is demanded of its evidence.
    `{build}`, `{job}`, `{commit}` and `{version}` stand for the run's values. With `library` its files are released
    instead of the image."""

    tag: str = "{build}"
    channels: tuple[str, ...] = ("stable",)
    demands: Demands = field(default_factory=Demands)
    library: Library | None = None


@dataclass(frozen=True)
class Service:
    """One service. `deploy` is the deploy section as written, with its variables still open: it is frozen into the
    image at build and read back from there (config.deploy)."""

    name: str
    repository: Repository
    build: Build = field(default_factory=Build)
    test: TestStage = field(default_factory=TestStage)
    release: ReleaseRules = field(default_factory=ReleaseRules)
    deploy: Mapping[str, Any] = field(default_factory=dict)
    root: str = "."
