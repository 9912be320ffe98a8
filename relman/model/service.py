"""The content of a relman.yml: the service, and how it is built, tested, released and deployed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from relman.model.container_settings import ContainerSettings
from relman.model.image import ImageRef, Platform, Repository
from relman.model.policy import Demands
from relman.model.settings import Healthcheck, Mount

IMAGE_ENTRYPOINT = "image"
APP = "app"
"""The host name of the image under test, for commands that run beside it."""


@dataclass(frozen=True)
class BuildSecret:
    """A secret for RUN --mount=type=secret,id=ID: the value of the variable `env`, or the content of `file` (relative
    to relman.yml). Exactly one is given."""

    id: str
    env: str = ""
    file: str = ""


@dataclass(frozen=True)
class Build:
    """How the image is built; `context` is relative to relman.yml, `dockerfile` to the context. `cache_from` are images
    whose layers may be reused. Without `platform` the engine's own is used."""

    context: str = "."
    dockerfile: str = "Dockerfile"
    args: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    secrets: tuple[BuildSecret, ...] = ()
    cache_from: tuple[str, ...] = ()
    platform: Platform | None = None


@dataclass(frozen=True)
class WaitFor:
    """When a linked service is ready.

    At most one of `tcp`, `http_port` and `command` is given; without any, the image's HEALTHCHECK decides, or else its
    lowest TCP port. `http_host` is the Host header, "" for the address. `timeout` is in seconds.
    """

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

    It runs `image`, or the image of another team's `release`, which must have evidence. It starts when those in
    `depends_on` are ready. `env` may refer to them (config/schema/test_references.py). `ports` extends the image's
    exposed ports; a mount's source is a volume of the run or an absolute path; `tmpfs` maps a path to the engine's
    options; `healthcheck` replaces the image's, and so do the settings of `container`.
    """

    alias: str
    image: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] | None = None
    ports: tuple[int, ...] = ()
    wait: WaitFor = field(default_factory=WaitFor)
    release: ImageRef | None = None
    depends_on: tuple[str, ...] = ()
    volumes: tuple[Mount, ...] = ()
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    healthcheck: Healthcheck | None = None
    container: ContainerSettings = field(default_factory=ContainerSettings)

    @property
    def source(self) -> str:
        """The image or release, as written."""
        return str(self.release) if self.release else self.image


@dataclass(frozen=True)
class TestCommand:
    """One test command.

    `timeout` in seconds, None for the stage's; `junit` are the files or directories of JUnit XML that it writes;
    `retries` is how often it is retried, if it is known to be flaky. It runs in the image under test, or in another
    `image`, or in the one built from the Dockerfile's `stage`.
    """

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
        """Whether it runs in another image than the one under test."""
        return bool(self.image or self.stage)

    @property
    def title(self) -> str:
        """Its name, else its argv in shell syntax."""
        return self.name or shlex.join(self.argv)


@dataclass(frozen=True)
class TestStage:
    """The test stage: commands that run in order in the exact image, with services linked.

    `env` may refer to the services (config/schema/test_references.py). `timeout` is in seconds for each command.
    `entrypoint` is the commands' entrypoint: IMAGE_ENTRYPOINT, words, () for none; None if not configured, which means
    the image's. With `smoke`, the image must first start as it is deployed and be healthy for its window.
    Without `app`, it is not started beside commands in other images.
    """

    __test__ = False

    services: tuple[LinkedService, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    commands: tuple[TestCommand, ...] = ()
    timeout: float = 1800.0
    entrypoint: tuple[str, ...] | str | None = None
    smoke: bool = False
    app: bool = True

    @property
    def starts_app(self) -> bool:
        """Whether the image under test is started as it is deployed, under the name APP."""
        return self.smoke or (self.app and any(command.beside for command in self.commands))

    @property
    def stages(self) -> tuple[str, ...]:
        """The Dockerfile stages in which commands run."""
        return tuple(dict.fromkeys(command.stage for command in self.commands if command.stage))

    @property
    def own_entrypoint(self) -> tuple[str, ...] | None:
        """The words that replace the image's ENTRYPOINT; None if it is kept."""
        return self.entrypoint if isinstance(self.entrypoint, tuple) else None


@dataclass(frozen=True)
class Library:
    """How a shared library is released: `build` creates its files under `dist` in the tested image; they are uploaded
    to the package index at the URL `index`; then the commit is tagged `git_tag`, which is pushed to `remote`."""

    index: str
    build: tuple[str, ...] = ("python3", "-m", "build", "--no-isolation")
    dist: str = "dist"
    git_tag: str = "v{version}"
    remote: str = "origin"


@dataclass(frozen=True)
class ReleaseRules:
    """The tag of a release, its channels, and the requirements on its evidence. `{build}`, `{job}`, `{commit}` and
    `{version}` are replaced by the run's values. With `library`, its files are released instead of the image."""

    tag: str = "{build}"
    channels: tuple[str, ...] = ("stable",)
    demands: Demands = field(default_factory=Demands)
    library: Library | None = None


@dataclass(frozen=True)
class Service:
    """One service. `deploy` is the deploy section as written, with its variables unexpanded: it is frozen into the
    image when that is built, and read from there when that is deployed (config/deploy.py)."""

    name: str
    repository: Repository
    build: Build = field(default_factory=Build)
    test: TestStage = field(default_factory=TestStage)
    release: ReleaseRules = field(default_factory=ReleaseRules)
    deploy: Mapping[str, Any] = field(default_factory=dict)
    root: str = "."
