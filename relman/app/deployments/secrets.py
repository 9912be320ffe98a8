"""The values of the secrets that a release needs, resolved on this machine for a deployment, and for nothing else."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping

from relman.app.context import Context
from relman.config.inventory.vault import open_vault
from relman.config.secrets.age import KEY_FILE
from relman.config.secrets.values import Keys, Unresolved, value_of
from relman.model.errors import PreflightFailed
from relman.model.grants.secrets import NONE_GIVEN, Given, SecretRef, SecretSource, Values, texts
from relman.model.host import Environment, Host
from relman.model.settings import DeploySettings

_LONGEST_VARIABLE = 1 << 17  # bytes with its name, = and its end: MAX_ARG_STRLEN of Linux
_SALT_BYTES = 16
_PROXY = "relman_proxy"  # no service's name


def given_to(context: Context, environment: Environment, service: str, settings: Mapping[str, DeploySettings]) -> Given:
    """The values of a service for every host, each source asked once; from now on nothing that is told shows them.
    Raises PreflightFailed with everything that has no value."""
    if not any(each.every_secret for each in settings.values()):
        return NONE_GIVEN
    wanted = {host: each.every_secret for host, each in settings.items()}
    return Given(_values(context, environment, service, wanted), secrets.token_hex(_SALT_BYTES))


def proxy_secrets_of(context: Context, environment: Environment) -> Mapping[str, Values]:
    """The secrets of every host's proxy, by their names: its certificates, and the key of its ACME account; as
    `given_to`."""
    wanted = {h.name: tuple(map(SecretRef, h.proxy.secrets if h.proxy else ())) for h in environment.hosts}
    return _values(context, environment, _PROXY, wanted)


def _values(
    context: Context, environment: Environment, service: str, wanted: Mapping[str, Iterable[SecretRef]]
) -> dict[str, Values]:
    resolving = _Resolving(service, keys_of(context))
    values: dict[str, Values] = {h.name: dict(resolving.of(h, wanted[h.name])) for h in environment.hosts}
    context.events.hide(texts(value for own in values.values() for value in own.values()))
    if resolving.faults:
        raise PreflightFailed(
            "the secrets could not be resolved; nothing was changed",
            details=list(dict.fromkeys(resolving.faults)),
            hint="relman_secrets in the inventory says where each comes from",
        )
    return values


def keys_of(context: Context) -> Keys:
    """What opens what is encrypted. Raises UsageError where a password file cannot be read."""
    environ = context.environ
    vault = open_vault(environ.get("RELMAN_VAULT_PASSWORD_FILE", ""), context.vault_ids)
    return Keys(vault, environ.get(KEY_FILE, ""), environ)


class _Resolving:
    """Values as they are found, and what is wrong with the others."""

    def __init__(self, service: str, keys: Keys) -> None:
        self._service = service
        self._keys = keys
        self._found: dict[SecretSource, bytes | Unresolved] = {}
        self.faults: list[str] = []

    def of(self, host: Host, wanted: Iterable[SecretRef]) -> Iterator[tuple[str, bytes]]:
        """The host's values by name."""
        for ref in wanted:
            source = host.secrets.get(ref.name)
            if source is None:
                self.faults.append(f"{host.name}: {ref.name}: relman_secrets in the inventory does not have it")
                continue
            if not source.is_for(self._service):
                self.faults.append(f"{source.origin}: {ref.name}: it is not for {self._service}")
                continue
            try:
                yield ref.name, fitting(ref, self._value(source))
            except Unresolved as error:
                self.faults += [f"{source.origin}: {ref.name}: {error}", *(f"  {line}" for line in error.lines)]

    def _value(self, source: SecretSource) -> bytes:
        if source not in self._found:
            try:
                self._found[source] = value_of(source, self._keys)
            except Unresolved as error:
                self._found[source] = error
        found = self._found[source]
        if isinstance(found, Unresolved):
            raise found
        return found


def fitting(ref: SecretRef, value: bytes) -> bytes:
    """The value, where it can be what the reference makes of it. Raises Unresolved."""
    if not ref.env:
        return value
    if b"\0" in value:
        raise Unresolved(f"it holds a NUL byte, and cannot be the variable {ref.env}: give it as a file")
    try:
        value.decode()
    except UnicodeDecodeError:
        raise Unresolved(f"it is not text in UTF-8, and cannot be the variable {ref.env}: give it as a file") from None
    if len(value) + len(ref.env) + 2 > _LONGEST_VARIABLE:
        raise Unresolved(f"it is longer than the 128 KiB of a variable, {ref.env}: give it as a file")
    return value
