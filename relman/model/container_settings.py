"""Settings of one container, named as in the Compose Specification
(https://github.com/compose-spec/compose-spec/blob/main/05-services.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

OF_THE_PROCESS = ("entrypoint", "user", "working_dir", "init", "tmpfs", "shm_size", "ulimits", "cap_drop")
"""The settings that apply wherever the image runs: in tests, too, which mount no volumes."""
UNLIMITED = -1
"""As a limit of `Ulimit`."""


@dataclass(frozen=True, order=True)
class Tmpfs:
    """A tmpfs at `target`; `options` are those of tmpfs(5), separated by commas."""

    target: str
    options: str = ""


@dataclass(frozen=True, order=True)
class Ulimit:
    """A limit of setrlimit(2); `name` is in lower case, without RLIMIT_."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, order=True)
class Device:
    """A device of the host; `permissions` are of r, w and m (mknod)."""

    source: str
    target: str
    permissions: str = "rwm"


@dataclass(frozen=True)
class Logging:
    """The logging driver and its options. `driver` None is the daemon's default."""

    driver: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ContainerSettings:
    """Settings of one container, besides its command, variables, ports, volumes and networks.

    None, or empty, is the image's or the engine's default; an `entrypoint` () is none. `shm_size` is in bytes.
    `extra_hosts` are NAME:ADDRESS. Capabilities are in upper case without CAP_.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] | None = None
    user: str | None = None
    working_dir: str | None = None
    hostname: str | None = None
    init: bool | None = None
    tty: bool = False
    read_only: bool = False
    tmpfs: tuple[Tmpfs, ...] = ()
    shm_size: int | None = None
    ulimits: tuple[Ulimit, ...] = ()
    cap_drop: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_opt: tuple[str, ...] = ()
    logging: Logging | None = None
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[Device, ...] = ()
    group_add: tuple[str, ...] = ()
    pid: str | None = None
