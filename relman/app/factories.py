"""The only place where adapters are built from options, environment variables and files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relman.app.context import Context
from relman.ledger import pending
from relman.local.directories import data_directory, docker_config_directory
from relman.model.errors import ConfigError, Problem, UsageError
from relman.model.host import Environment
from relman.model.image import Repository
from relman.model.service import Service
from relman.registry.auth import Credentials, Login, ca_for, credentials_for
from relman.registry.client import Registry
from relman.registry.http.network import RegistryAccess, insecure_by
from relman.registry.http.proxies import proxies_of

if TYPE_CHECKING:
    from relman.ci.library.index import Index
    from relman.config.inventory.environments import Inventory
    from relman.config.inventory.load import Reading
    from relman.ledger.ledger import Ledger

INVENTORIES = "inventories"


def environment(context: Context, name: str, inventories: Sequence[str]) -> Environment:
    """The environment `name` of the given inventories, RELMAN_INVENTORY, or ./inventories."""
    return _chosen_inventory(context, inventories).environment(name, **ssh_files(context))


def every_environment(context: Context, inventories: Sequence[str]) -> list[Environment]:
    """All environments with services, of the same inventories. Raises ConfigError with the problems of all of them, and
    UsageError if there is none."""
    inventory = _chosen_inventory(context, inventories)
    found: list[Environment] = []
    problems: list[Problem] = []
    for name in inventory.deployable:
        try:
            found.append(inventory.environment(name, **ssh_files(context)))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    if not found:
        raise UsageError(
            f"no group in {', '.join(inventory.files)} is an environment",
            hint="set relman_services for a group of hosts: it maps each service to its repository",
        )
    return found


def _chosen_inventory(context: Context, inventories: Sequence[str]) -> Inventory:
    given = bool(inventories or context.environ.get("RELMAN_INVENTORY"))
    if context.run_inventory and not given:
        raise UsageError("--run-inventory needs -i or RELMAN_INVENTORY", hint="name the inventory to run")
    return inventory_of(context, inventories, run=context.run_inventory)


def inventory_of(context: Context, inventories: Sequence[str], *, run: bool = False) -> Inventory:
    """Read the given inventories; without `run`, no programs are run for them."""
    from relman.config.inventory.load import load_inventory

    return load_inventory(_inventory_paths(context, inventories), _reading_of(context, run=run))


def _reading_of(context: Context, *, run: bool = False) -> Reading:
    """How inventories are read; without `run`, no programs are run for them."""
    from relman.config.inventory.load import Reading
    from relman.config.inventory.vault import open_vault

    vault = open_vault(context.environ.get("RELMAN_VAULT_PASSWORD_FILE", ""), context.vault_ids)
    return Reading(vault, run, context.environ)


def _inventory_paths(context: Context, inventories: Sequence[str]) -> list[str]:
    """The given inventories, else RELMAN_INVENTORY, else ./inventories."""
    return list(inventories) or [context.environ.get("RELMAN_INVENTORY") or INVENTORIES]


def ssh_files(context: Context) -> dict[str, Any]:
    """The arguments of Inventory.environment from RELMAN_SSH_CONFIG and RELMAN_KNOWN_HOSTS."""
    known = [p for p in context.environ.get("RELMAN_KNOWN_HOSTS", "").split(":") if p]
    return {"ssh_config": context.environ.get("RELMAN_SSH_CONFIG") or None, "known_hosts": known}


def credentials_of(context: Context, registry: str) -> Credentials | None:
    """The credentials for a registry, from environment variables or docker's configuration, or None."""
    return credentials_for(registry, context.environ, docker_config_directory(context.environ), context.events.warn)


def written_service(context: Context, file: str) -> Service:
    """The service of a checkout's file, for a command that uses the registry and index named there.

    A branch may name any registry, so a password in an environment variable must say which one it is for. Raises
    UsageError and ConfigError.
    """
    from relman.config.service import load_service

    service = load_service(file)
    named = {"RELMAN_REGISTRY": "registry"} | ({"RELMAN_INDEX": "package index"} if service.release.library else {})
    for name, what in named.items():
        given = [f"{name}_{part}" for part in ("USERNAME", "PASSWORD") if context.environ.get(f"{name}_{part}")]
        if given and not context.environ.get(name):
            raise UsageError(
                f"{' and '.join(given)} {'are' if len(given) > 1 else 'is'} set, and {name} is not",
                hint=f"Set {name} to the HOST[:PORT] of the {what} that they are for: {file} may name another.",
            )
    return service


def login_of(context: Context, repository: Repository) -> Login | None:
    """The login that hosts need to pull from `repository`; never one for another registry."""
    credentials = credentials_of(context, repository.registry)
    return Login(repository.registry, credentials.auth_config()) if credentials else None


def registry_of(
    context: Context, repository: Repository, environment: Environment | None = None, *, writes: bool = False
) -> Registry:
    """A client of the registry of `repository`, with push access if `writes`; `environment` may add its CA and TLS
    settings."""
    host = repository.registry
    ca = ca_for(host, environment.registry_ca if environment else None, env=context.environ)
    network = network_of(context, environment)
    return Registry(host, credentials=credentials_of(context, host), ca=ca, network=network, writes=writes)


def network_of(context: Context, environment: Environment | None = None) -> RegistryAccess:
    """How registries are reached, by environment variables and the inventory, never by a checkout's files."""
    insecure = {*insecure_by(context.environ), *(environment.insecure_registries if environment else ())}
    return RegistryAccess(proxies_of(context.environ), frozenset(insecure), context.events.warn_once)


def index_of(context: Context, url: str) -> Index:
    """A client of the package index at `url`."""
    from relman.ci.library.index import Index, index_credentials

    ca = context.environ.get("RELMAN_INDEX_CA") or None
    if ca and not Path(ca).is_file():
        raise UsageError(
            f"there is no CA file {ca} for the package index", hint="Set RELMAN_INDEX_CA to an existing file."
        )
    return Index(url, index_credentials(url, context.environ), ca)


def ledger(context: Context) -> Ledger:
    """The local ledger; what cannot be recorded becomes a warning."""
    from relman.ledger.ledger import Ledger

    return Ledger(_ledger_file(context), context.events.warn)


def record_deployment(context: Context, **told: Any) -> None:
    """Record a deployment in the local history (relman.ledger.pending)."""
    pending.record_deployment(_ledger_file(context), context.events.warn, **told)


def _ledger_file(context: Context) -> Path:
    return data_directory(context.environ) / "ledger.sqlite3"
