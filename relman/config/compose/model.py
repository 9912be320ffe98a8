"""What a compose file says, in one form: all variables filled in, extended services merged, long forms only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from relman.config.yaml_document import KeyPath
from relman.model.errors import Problem

Lost = Callable[[str, str], None]
"""Told of each key that cannot be said, and why."""


@dataclass(frozen=True)
class ImageBuild:
    """What an image is built from; `secrets` are variables that it is given as such, `others` keys
    that relman has none for."""

    context: str = "."
    dockerfile: str = "Dockerfile"
    args: tuple[tuple[str, str], ...] = ()
    target: str = ""
    platform: str = ""
    secrets: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class PublishedPort:
    """A published port as compose has it; `published` is "" for any of the host's, and may be a range."""

    target: str
    published: str = ""
    protocol: str = "tcp"
    host_ip: str = ""


@dataclass(frozen=True)
class ServiceMount:
    """A mount of the type volume, bind or tmpfs. `source` is a volume's key in the file, a path, or ""."""

    type: str
    source: str
    target: str
    read_only: bool = False
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class SecretUse:
    """A secret that a service is given; `target` is "" or the file's path, `variable` "" or what holds it instead."""

    name: str
    target: str = ""
    variable: str = ""


@dataclass(frozen=True)
class ComposeService:
    """One service. `environment` has its variables as written (None: the one of the shell), `keys` all keys without a
    field of their own, filled in; `networks` its aliases in each, and `health` how it is checked from outside."""

    name: str
    image: str = ""
    build: ImageBuild | None = None
    environment: Mapping[str, str | None] = field(default_factory=dict)
    env_files: tuple[tuple[str, bool], ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    mounts: tuple[ServiceMount, ...] = ()
    networks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    depends_on: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[SecretUse, ...] = ()
    profiles: tuple[str, ...] = ()
    keys: Mapping[str, Any] = field(default_factory=dict)
    health: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Placement:
    """What another tool's file says beside its services: the hosts with the services that each runs, variables of the
    inventory, keys of relman's deploy section, the registry and the image's path in it, and what could not be said."""

    hosts: Mapping[str, tuple[str, ...]]
    variables: Mapping[str, Any]
    deploy: Mapping[str, Any]
    registry: str
    repository: str
    losses: tuple[str, ...]


@dataclass(frozen=True)
class Project:
    """A compose file. `volumes` and `networks` have the engine's names by the file's, `secrets` what the file says of
    them, `written` its services and other sections as written, but for what was extended.
    `problem` makes a problem of a place."""

    name: str
    services: Mapping[str, ComposeService]
    volumes: Mapping[str, str]
    networks: Mapping[str, str]
    secrets: Mapping[str, Mapping[str, Any]]
    variables: Mapping[str, str]
    written: Mapping[str, Any]
    problem: Callable[[KeyPath, str], Problem]
    placement: Placement | None = None
