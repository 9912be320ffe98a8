"""What one relman.yml describes: the service, how it is built, tested, released and deployed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from relman.model.image import Repository
from relman.model.policy import Demands


@dataclass(frozen=True)
class Build:
    """How the image is built; `context` and `dockerfile` are relative to relman.yml and to the context."""

    context: str = "."
    dockerfile: str = "Dockerfile"
    args: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None


@dataclass(frozen=True)
class Wait:
    """When a linked service counts as ready. At most one of `tcp`, `http_port`, `command` is given; none of them
    means the image's HEALTHCHECK if it has one, else its lowest TCP port. `timeout` in seconds."""

    tcp: int | None = None
    http_port: int | None = None
    http_path: str = "/"
    command: tuple[str, ...] | None = None
    timeout: float = 60.0


@dataclass(frozen=True)
class LinkedService:
    """A service container that tests are linked to, under `alias`. `ports` adds to the image's exposed ports."""

    alias: str
    image: str
    env: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] | None = None
    ports: tuple[int, ...] = ()
    wait: Wait = field(default_factory=Wait)


@dataclass(frozen=True)
class TestStage:
    """The test stage: commands run in order inside the exact image, with the services linked. `timeout` is in seconds
    a command."""

    __test__ = False

    services: tuple[LinkedService, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    commands: tuple[tuple[str, ...], ...] = ()
    timeout: float = 1800.0


@dataclass(frozen=True)
class ReleaseRules:
    """Under which tag a passed run is released, the channels that follow, and what is demanded of its evidence.
    `{build}`, `{job}`, `{commit}` and `{version}` stand for the run's values."""

    tag: str = "{build}"
    channels: tuple[str, ...] = ("stable",)
    demands: Demands = field(default_factory=Demands)


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
