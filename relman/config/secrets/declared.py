"""What an inventory says of secrets: where the value of each comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from relman.config.inventory.tree import Variable
from relman.config.inventory.vault import TAG
from relman.config.schema import values, values_names
from relman.config.schema.values import Faults
from relman.config.suggestions import kind_of
from relman.config.yaml_document import Tagged
from relman.model.grants.secrets import SecretSource, SourceKind

VARIABLE = "relman_secrets"
_SERVICES = "services"
_VAULTED = (TAG, f"{TAG}-encrypted")


def _argv(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"expected a command as a list of words, found {kind_of(value)}")
    return tuple(values.text(word) for word in value)


def _word(value: object) -> tuple[str, ...]:
    return (values.word(value),)


def _variable(value: object) -> tuple[str, ...]:
    return (values_names.not_relman_s(values_names.shell_name(values.word(value))),)


_READ: Mapping[SourceKind, Callable[[object], tuple[str, ...]]] = {
    SourceKind.VAULT: _word,
    SourceKind.AGE: _word,
    SourceKind.COMMAND: _argv,
    SourceKind.VARIABLE: _variable,
    SourceKind.FILE: _word,
}


def declared(value: object) -> dict[str, SecretSource]:
    """What a variable relman_secrets says by itself, by the secrets' names. Raises ValueError, with every fault."""
    if not isinstance(value, dict):
        raise ValueError(f"expected names of secrets and their sources, found {kind_of(value)}")  # noqa: TRY004
    found: dict[str, SecretSource] = {}
    faults: list[tuple[tuple[str, ...], str]] = []
    for name, source in value.items():
        try:
            values_names.secret_name(name)
            found[name] = _source(source)
        except ValueError as error:
            faults.append(((name,), str(error)))
    if faults:
        raise Faults(faults)
    return found


def _source(value: object) -> SecretSource:
    kinds = ", ".join(SourceKind)
    said = dict(value) if isinstance(value, dict) else {}
    services = said.pop(_SERVICES, None)
    if len(said) != 1:
        raise ValueError(f"expected one source: one of {kinds}")
    ((kind, where),) = said.items()
    if kind not in list(SourceKind):
        raise ValueError(f"expected one of {kinds}, found {kind}")
    try:
        words = _READ[SourceKind(kind)](where)
    except ValueError as error:
        raise ValueError(f"{kind}: {error}") from None
    return SecretSource(SourceKind(kind), words, services=_services(services))


def _services(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not value:
        raise ValueError(f"{_SERVICES}: expected a list of services, found {kind_of(value)}")
    return tuple(values_names.service_name(name) for name in value)


def sources(layers: Sequence[Mapping[str, Variable]], variables: Mapping[str, Variable]) -> dict[str, SecretSource]:
    """The sources that a host has, by the secrets' names; the last layer that names one decides. What is wrong in
    a layer is left out."""
    found: dict[str, SecretSource] = {}
    for layer in layers:
        if VARIABLE in layer:
            try:
                said = declared(layer[VARIABLE].value)
            except ValueError:
                continue
            found |= {name: _located(layer[VARIABLE], name, source, variables) for name, source in said.items()}
    return found


def _located(written: Variable, name: str, source: SecretSource, variables: Mapping[str, Variable]) -> SecretSource:
    place = written.problem("", (name,), on_key=True)
    vaulted = source.kind is SourceKind.VAULT
    text, is_open = _vaulted(variables.get(source.words[0])) if vaulted else (None, False)
    origin, folder = f"{place.file}:{place.line}:{place.column}", str(Path(written.document.source.file).parent)
    return replace(source, origin=origin, folder=folder, text=text, open=is_open)


def _vaulted(variable: Variable | None) -> tuple[str | None, bool]:
    """What a variable holds in Ansible Vault, and whether it is decrypted already."""
    if variable is None:
        return None, False
    if isinstance(variable.value, Tagged) and variable.value.tag in _VAULTED:
        return variable.value.text, False
    sealed = variable.document.sealed and isinstance(variable.value, str | int | float)
    return (values.text(variable.value), True) if sealed else (None, False)
