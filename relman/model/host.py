"""Hosts and environments, as an inventory names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from relman.model.image import Repository
from relman.model.policy import Demands

DEFAULT_STATE_DIR = "/var/lib/relman"


@dataclass(frozen=True)
class Proxy:
    """A command whose standard input and output are the way to an endpoint (ssh_config(5), ProxyCommand), its tokens
    filled in, and where it is written."""

    command: str
    origin: str


@dataclass(frozen=True)
class Hop:
    """One SSH endpoint: a host itself or a jump host on the way to it.

    `host_key_alias` is the name of its key in known_hosts, if not its address; `connect_timeout` in seconds, where it
    has one of its own. `agents` are the sockets of the SSH agents to ask for keys; with `identities_only` no key of
    theirs is meant for it that is not one of `identity_files`. `certificate_files` go with keys from anywhere.
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
    proxy: Proxy | None = None


@dataclass(frozen=True)
class Host:
    """A host: its inventory name, how to reach it, and its variables.

    `jumps` are passed in order, outermost first. `variables` fill `${name}` in deploy settings; `env` is added to the
    container's environment; `secret_variables` are the names of those that are in Ansible Vault and fill nothing.
    `docker_socket` is a path on the host; `docker_command` the words with which its user runs
    docker there, where the socket itself cannot be used.
    """

    name: str
    endpoint: Hop
    jumps: tuple[Hop, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    secret_variables: tuple[str, ...] = ()
    state_dir: str = DEFAULT_STATE_DIR
    docker_socket: str = "/var/run/docker.sock"
    docker_command: tuple[str, ...] = ("docker",)


@dataclass(frozen=True)
class SshOptions:
    """What all connections share. `known_hosts` are files; times in seconds."""

    known_hosts: tuple[str, ...] = ()
    connect_timeout: float = 5.0
    operation_timeout: float = 60.0


@dataclass(frozen=True)
class Environment:
    """A named set of hosts, the services that may be deployed to it, and what it demands of their evidence.

    `insecure_registries` (host[:port]) may be spoken to without TLS.
    `groups` are the inventory's groups that have hosts in it, with the names of these.
    `local_commands`: what is deployed to it may run commands on the deployer's machine (hooks, a canary's check).
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
