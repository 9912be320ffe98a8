"""Hosts and environments, as named by an inventory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from relman.model.grants.permissions import Permission
from relman.model.grants.secrets import SecretSource
from relman.model.image import Repository
from relman.model.policy import Demands
from relman.model.proxy import HostProxy, ServiceRoute

DEFAULT_STATE_DIR = "/var/lib/relman"


@dataclass(frozen=True)
class ProxyCommand:
    """A command whose standard input and output are the connection to an endpoint (ssh_config(5), ProxyCommand), with
    its tokens expanded; `origin` is where it is configured."""

    command: str
    origin: str


@dataclass(frozen=True)
class Hop:
    """One SSH endpoint: a host, or a jump host on the way to it.

    `host_key_alias` is the name of its key in known_hosts if it is not the address; `connect_timeout` is in seconds, if
    it has its own. `agents` are the sockets of SSH agents; with `identities_only` only their keys that are in
    `identity_files` are offered. `certificate_files` are offered with keys from any source. See ssh_config(5),
    https://man.openbsd.org/ssh_config.
    """

    address: str
    port: int = 22
    user: str = "root"
    identity_files: tuple[str, ...] = ()
    host_key_alias: str = ""
    connect_timeout: float | None = None
    identities_only: bool = False
    certificate_files: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    proxy: ProxyCommand | None = None


@dataclass(frozen=True)
class Host:
    """A host: its inventory name, the route to it, and its variables.

    `jumps` are passed in order, outermost first. `variables` fill `${name}` in deploy settings; `env` is added to the
    container's environment; `secrets` are the sources of their values, by name; `secret_variables` are the names of
    variables in Ansible Vault, which are never filled in. `processes` are those of each service that the host runs,
    with the number of replicas if it has its own; of a service that is not there, all. `docker_socket` is a path on the
    host; `docker_command` the command with which its user runs docker, for hosts where the socket is not accessible.
    `routes` are what its `proxy` routes to each service.
    """

    name: str
    endpoint: Hop
    jumps: tuple[Hop, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, SecretSource] = field(default_factory=dict)
    secret_variables: tuple[str, ...] = ()
    processes: Mapping[str, Mapping[str, int | None]] = field(default_factory=dict)
    state_dir: str = DEFAULT_STATE_DIR
    docker_socket: str = "/var/run/docker.sock"
    docker_command: tuple[str, ...] = ("docker",)
    allow: Mapping[str, tuple[Permission, ...]] = field(default_factory=dict)
    proxy: HostProxy | None = None
    routes: Mapping[str, ServiceRoute] = field(default_factory=dict)


@dataclass(frozen=True)
class SshOptions:
    """Options of all connections. `known_hosts` are files; timeouts are in seconds."""

    known_hosts: tuple[str, ...] = ()
    connect_timeout: float = 5.0
    operation_timeout: float = 60.0


@dataclass(frozen=True)
class Environment:
    """A named set of hosts, the services deployed to it, and what it requires of their evidence.

    `insecure_registries` (host[:port]) may be spoken to without TLS. `local_commands` is whether a service's settings
    may run commands on the deployer's machine (hooks, a canary's check). `groups` maps the inventory's groups to their
    hosts in this environment.
    """

    name: str
    hosts: tuple[Host, ...]
    services: Mapping[str, Repository] = field(default_factory=dict)
    registry_ca: str | None = None
    insecure_registries: tuple[str, ...] = ()
    ssh: SshOptions = field(default_factory=SshOptions)
    local_commands: bool = False
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    demands: Demands = field(default_factory=Demands)
