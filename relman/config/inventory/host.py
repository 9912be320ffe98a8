"""Build a host of the model from its inventory variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from relman.config.inventory.permissions import permissions
from relman.config.inventory.proxy import host_proxy, routes
from relman.config.inventory.tree import Variable, is_used
from relman.config.inventory.vault import TAG, Vault
from relman.config.policy import read_policy
from relman.config.schema import values, values_container, values_names
from relman.config.schema.values import Faults, replicas
from relman.config.secrets.declared import VARIABLE as _SECRETS
from relman.config.secrets.declared import declared, sources
from relman.config.ssh.host import SshConfig
from relman.config.suggestions import kind_of, nearest, shown
from relman.config.yaml_document import KeyPath, Tagged
from relman.model.errors import ConfigError, Problem
from relman.model.grants.permissions import Permission
from relman.model.host import DEFAULT_STATE_DIR, Host
from relman.model.image import Repository
from relman.model.policy import NO_POLICY, Demands
from relman.model.proxy import HostProxy

_ADVICE = {
    **dict.fromkeys(
        ("ansible_ssh_common_args", "ansible_ssh_extra_args", "ansible_ssh_args"),
        "relman does not run ssh: say it in your ssh_config (ProxyJump, ProxyCommand)",
    ),
    **dict.fromkeys(
        ("ansible_password", "ansible_ssh_pass"), "relman signs in with keys only: use a key file or the agent"
    ),
    "ansible_ssh_host": "write ansible_host",
    "ansible_ssh_port": "write ansible_port",
    "ansible_ssh_user": "write ansible_user",
}
_ENV = "relman_env"
_ADDED_UP = (_ENV, _SECRETS)
_CLOSED = Vault({})
_CONNECTIONS = ("ssh", "smart", "paramiko", "paramiko_ssh")


def _connection(value: object) -> str:
    if value not in _CONNECTIONS:
        raise ValueError(f"relman reaches hosts by ssh only, not by {shown(value)}: leave this host out")
    return str(value)


def _mapping(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"expected names and their values, found {kind_of(value)}")  # noqa: TRY004
    return value


def _each(read: Callable[[str, object], Any], value: object) -> dict[str, Any]:
    """Read every entry of a mapping. Raises Faults with the faults of all of them."""
    found, faults = {}, list[tuple[KeyPath, str]]()
    for key, item in _mapping(value).items():
        try:
            found[key] = read(key, item)
        except ValueError as error:
            faults.append(((key,), str(error)))
    if faults:
        raise Faults(faults)
    return found


def _env(value: object) -> dict[str, str]:
    def read(name: str, item: object) -> str:
        values_names.env_name(name)
        return values.text(item)

    return _each(read, value)


def _services(value: object) -> dict[str, Repository]:
    def read(name: str, item: object) -> Repository:
        values_names.service_name(name)
        return values_names.repository_reference(item)

    return _each(read, value)


def _processes(value: object) -> dict[str, dict[str, int | None]]:
    def read(name: str, item: object) -> dict[str, int | None]:
        values_names.service_name(name)
        if isinstance(item, list):
            return {values_names.process_name(values.word(each)): None for each in item}
        return _each(lambda process, count: replicas(count) if values_names.process_name(process) else None, item)

    return _each(read, value)


def _registries(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(f"expected a list of registries, each as HOST:PORT; found {kind_of(value)}")  # noqa: TRY004
    return tuple(values_names.registry(item).lower() for item in value)


def _allow(value: object) -> dict[str, tuple[Permission, ...]]:
    def read(name: str, item: object) -> tuple[Permission, ...]:
        values_names.service_name(name)
        return permissions(item)

    return _each(read, value)


_READ: Mapping[str, Callable[[object], Any]] = {
    "ansible_host": values_names.address,
    "ansible_port": values_container.port_number,
    "ansible_user": values.word,
    "ansible_ssh_private_key_file": values.word,
    "ansible_private_key_file": values.word,
    "ansible_connection": _connection,
    _ENV: _env,
    _SECRETS: declared,
    "relman_services": _services,
    "relman_processes": _processes,
    "relman_registry_ca": values.word,
    "relman_insecure_registries": _registries,
    "relman_trust": values.word,
    "relman_policy": read_policy,
    "relman_state_dir": values.absolute_path,
    "relman_docker_socket": values.absolute_path,
    "relman_local_commands": values.truth,
    "relman_docker_command": values.command_words,
    "relman_allow": _allow,
    "relman_proxy": host_proxy,
    "relman_routes": routes,
}
KNOWN = tuple(_READ)


@dataclass(frozen=True)
class ReadHost:
    """A host, and what its variables say of the whole environment."""

    host: Host
    services: Mapping[str, Repository]
    registry_ca: str | None
    demands: Demands
    known_hosts: tuple[str, ...]
    insecure_registries: tuple[str, ...] = ()
    local_commands: bool = False


def misspelt(name: str) -> str | None:
    """The advice for a variable whose name must be a mistake, None if it is fine."""
    if name in _READ or name in _ADVICE:
        return None
    near = nearest(name, _READ, 0.6 if name.startswith("relman_") else 0.85)
    if name.startswith("relman_"):
        return f"unknown key; did you mean {near}?" if near else f"unknown key; known are {', '.join(_READ)}"
    return f"unknown key; did you mean {near}?" if near else None


def read_host(name: str, layers: Sequence[Mapping[str, Variable]], ssh: SshConfig, vault: Vault) -> ReadHost:
    """Build the host that these layers of variables describe, reached through `ssh`.

    The last layer that sets a variable decides; only relman_env and relman_secrets are merged, name by name. Raises
    ConfigError with all problems.
    """
    variables = {key: value for layer in layers for key, value in layer.items()}
    problems = [v.problem(_ADVICE[key], on_key=True) for key, v in variables.items() if key in _ADVICE]
    known: dict[str, Any] = {}
    env: dict[str, str] = {}
    written = [(key, v) for key, v in variables.items() if key in _READ and key not in _ADDED_UP]
    added_up = [(key, layer[key]) for layer in layers for key in _ADDED_UP if key in layer]
    for key, variable in [*written, *added_up]:
        try:
            value = _READ[key](variable.value if key == _SECRETS else _readable(variable.value, vault))
        except ValueError as error:
            problems += _problems(variable, error)
        else:
            known[key] = value
            env |= value if key == _ENV else {}
    if problems:
        raise ConfigError(problems)
    identity = known.get("ansible_ssh_private_key_file", known.get("ansible_private_key_file"))
    route = ssh.route(
        known.get("ansible_host", name),
        port=known.get("ansible_port"),
        user=known.get("ansible_user"),
        identity=identity,
    )
    host = Host(
        name=name,
        endpoint=route.endpoint,
        jumps=route.jumps,
        variables={"inventory_hostname": name} | _free(variables),
        secret_variables=_secret(variables),
        env=env,
        secrets=sources(layers, variables),
        processes=known.get("relman_processes", {}),
        state_dir=known.get("relman_state_dir", DEFAULT_STATE_DIR),
        docker_socket=known.get("relman_docker_socket", Host.docker_socket),
        docker_command=known.get("relman_docker_command", Host.docker_command),
        allow=known.get("relman_allow", {}),
        proxy=_with_files(known.get("relman_proxy"), variables),
        routes=known.get("relman_routes", {}),
    )
    return ReadHost(
        host=host,
        services=known.get("relman_services", {}),
        registry_ca=_beside(variables.get("relman_registry_ca")),
        demands=_demands(variables, known),
        known_hosts=route.known_hosts,
        insecure_registries=known.get("relman_insecure_registries", ()),
        local_commands=known.get("relman_local_commands", False),
    )


def _with_files(proxy: HostProxy | None, variables: Mapping[str, Variable]) -> HostProxy | None:
    """The proxy with the paths of its files, resolved against the file that names them."""
    if proxy is None:
        return None
    folder = Path(variables["relman_proxy"].document.source.file).parent

    def found(name: str) -> str:
        return str(folder / Path(name).expanduser()) if name else ""

    acme = replace(proxy.acme, ca=found(proxy.acme.ca)) if proxy.acme else None
    return replace(proxy, page=found(proxy.page), acme=acme)


def _demands(variables: Mapping[str, Variable], known: Mapping[str, Any]) -> Demands:
    policy = known.get("relman_policy")
    if policy:
        policy = replace(policy, origin=variables["relman_policy"].document.source.file)
    return Demands(_beside(variables.get("relman_trust")), policy or NO_POLICY)


def _problems(variable: Variable, error: ValueError) -> list[Problem]:
    faults = error.faults if isinstance(error, Faults) else (((), str(error)),)
    return [variable.problem(message, at) for at, message in faults]


def _readable(value: object, vault: Vault) -> object:
    """The value, decrypted if it is in Ansible Vault. Raises ValueError if only Ansible could evaluate it."""
    if isinstance(value, Tagged) and value.tag in (TAG, f"{TAG}-encrypted"):
        return vault.decrypt(value.text)
    if isinstance(value, Tagged):
        raise ValueError(f"{value}: relman cannot decrypt or evaluate it, so write it as plain text")  # noqa: TRY004
    if isinstance(value, dict):
        return _each(lambda _, item: _readable(item, vault), value)
    if isinstance(value, str) and ("{{" in value or "{%" in value):
        raise ValueError("relman does not evaluate Jinja: write the value itself")
    return value


def _free(variables: Mapping[str, Variable]) -> dict[str, str]:
    """The variables for `${name}`: scalars that are neither Ansible's nor relman's own, nor secret, nor templates."""
    found = {}
    for name, variable in variables.items():
        if is_used(name) or variable.document.sealed or not isinstance(variable.value, str | int | float):
            continue
        try:
            found[name] = values.text(_readable(variable.value, _CLOSED))
        except ValueError:
            continue
    return found


def _secret(variables: Mapping[str, Variable]) -> tuple[str, ...]:
    """The names of the variables that are in Ansible Vault."""
    return tuple(
        name
        for name, variable in variables.items()
        if not is_used(name) and (variable.document.sealed or isinstance(variable.value, Tagged))
    )


def _beside(variable: Variable | None) -> str | None:
    """A path on this machine, resolved against the file that contains it."""
    if variable is None:
        return None
    return str(Path(variable.document.source.file).parent / Path(str(variable.value)).expanduser())
