"""The schema of the keys of one container, named as in the Compose Specification
(https://github.com/compose-spec/compose-spec/blob/main/05-services.md)."""

# ruff: noqa: RUF012 (pydantic copies defaults)

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict

from relman.config.schema import values, values_container, values_names, values_settings
from relman.config.schema.base import OneOrMore, Section, filled, parsed
from relman.config.schema.lists import Named, named, several, without_clash
from relman.config.yaml_document import KeyPath
from relman.model import container_settings as model
from relman.model.settings import Mount


def _tmpfs_clash(one: model.Tmpfs | str, other: model.Tmpfs | str) -> str | None:
    if isinstance(one, str) or isinstance(other, str) or one.target != other.target:
        return None
    return f"another tmpfs is mounted at {one.target}"


def _device_clash(one: model.Device | str, other: model.Device | str) -> str | None:
    if isinstance(one, str) or isinstance(other, str) or one.target != other.target:
        return None
    return f"another device is at {one.target}"


def _twice(one: object, other: object) -> str | None:
    return f"{one} is given twice" if one == other else None


class Logging(Section):
    """Where the engine puts the container's output."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    driver: Annotated[str, filled(values_names.log_driver)] | None = None
    """The logging driver; without it the one that the host's daemon uses by default."""
    options: Annotated[dict[str, str], named(values.word)] = {}
    """The driver's options, such as max-size."""

    def value(self) -> model.Logging:
        """The model's logging."""
        return model.Logging(self.driver, self.options)


Addresses = Annotated[list[str], several(values_settings.address)]


class ContainerKeys(Section):
    """The settings of one container beside its command, variables, ports, volumes and networks."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    labels: Annotated[dict[str, str], named(values_settings.label)] = {}
    """Labels of the container, beside relman's own; a task's container has none of them."""
    entrypoint: Annotated[tuple[str, ...], parsed(values_settings.words, OneOrMore)] | None = None
    """Words that the container is started with in place of the image's ENTRYPOINT and CMD; [] for none."""
    user: Annotated[str, filled(values_settings.user)] | None = None
    """The user, or USER:GROUP, by name or number, in place of the image's USER."""
    working_dir: Annotated[str, filled(values_settings.directory)] | None = None
    """The absolute path of the directory in which it starts, in place of the image's WORKDIR."""
    hostname: Annotated[str, filled(values_settings.host_name)] | None = None
    """The container's own host name; without it a part of its id."""
    init: bool | None = None
    """Whether an init of the engine's runs as process 1 and reaps the others; without it as the daemon says."""
    tty: bool = model.ContainerSettings.tty
    """Whether it has a terminal."""
    read_only: bool = model.ContainerSettings.read_only
    """Whether its own file system is read-only; volumes and tmpfs are not."""
    tmpfs: Annotated[list[model.Tmpfs], several(values_settings.tmpfs), without_clash(_tmpfs_clash)] = []
    """File systems in memory, each as PATH or PATH:OPTIONS, such as /run:size=64m,mode=1777."""
    shm_size: Annotated[int, parsed(values_container.size)] | None = None
    """The size of /dev/shm in bytes, or with a unit b, k, m, g; without it the daemon's, 64m mostly."""
    ulimits: Annotated[
        dict[str, tuple[int, int]],
        named(values_settings.ulimit_name, values_settings.ulimit, dict[str, int | dict[str, int]]),
    ] = {}
    """Limits of setrlimit(2) by their names, such as nofile; a number, or {soft: NUMBER, hard: NUMBER}; -1 is none."""
    cap_drop: Annotated[list[str], several(values_settings.capability), without_clash(_twice)] = []
    """Capabilities that it does not get, such as NET_RAW, or ALL."""
    extra_hosts: Annotated[
        list[str],
        several(values_settings.extra_host),
        BeforeValidator(values_settings.extra_hosts, json_schema_input_type=Named | dict[str, list[str]]),
        without_clash(_twice),
    ] = []
    """Lines of its /etc/hosts, each as NAME:ADDRESS; host-gateway is the address of the host."""
    dns: Addresses = []
    """The addresses of the name servers that it asks; without any the daemon's."""
    dns_search: Annotated[list[str], several(values_settings.domain)] = []
    """The domains in which names are looked for; `.` for none."""
    dns_opt: Annotated[list[str], several(values.word)] = []
    """Options of its resolv.conf(5), such as ndots:1."""
    logging: Logging | None = None
    """Where the engine sends the container's output."""
    privileged: bool = model.ContainerSettings.privileged
    """Whether it gets all capabilities and devices of the host; relman_allow has to grant it."""
    cap_add: Annotated[list[str], several(values_settings.capability), without_clash(_twice)] = []
    """Capabilities that it gets besides the engine's own, such as NET_ADMIN; relman_allow has to grant it."""
    security_opt: Annotated[list[str], several(values_settings.security_opt), without_clash(_twice)] = []
    """Options of AppArmor, SELinux and seccomp, which relman_allow has to grant, and no-new-privileges."""
    sysctls: Annotated[dict[str, str], named(values_settings.sysctl, values.word)] = {}
    """Kernel parameters of the container's namespaces, such as net.core.somaxconn; relman_allow has to grant it."""
    devices: Annotated[list[model.Device], several(values_settings.device), without_clash(_device_clash)] = []
    """Devices of the host, each as SOURCE, SOURCE:TARGET or SOURCE:TARGET:rwm; relman_allow has to grant it."""
    group_add: Annotated[list[str], several(values_settings.group), without_clash(_twice)] = []
    """Further groups of the process, by name or number; relman_allow has to grant it."""
    pid: Annotated[str, filled(values_settings.pid)] | None = None
    """`host` for the processes of the host; relman_allow has to grant host-pid."""

    def container_faults(self, volumes: Iterable[Mount | str]) -> Iterator[tuple[KeyPath, str]]:
        """Settings that conflict with these volumes, each with the path of the key to change."""
        mounted = {m.target for m in volumes if isinstance(m, Mount)}
        for at, each in enumerate(self.tmpfs):
            if isinstance(each, model.Tmpfs) and each.target in mounted:
                yield ("tmpfs", at), f"a volume is mounted at {each.target}"

    def container(self) -> model.ContainerSettings:
        """The model's settings, when all variables are expanded."""
        given = {name: getattr(self, name) for name in ContainerKeys.model_fields}
        given["ulimits"] = [model.Ulimit(name, *limits) for name, limits in self.ulimits.items()]
        given["logging"] = self.logging.value() if self.logging else None
        settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
        return model.ContainerSettings(**settings)
