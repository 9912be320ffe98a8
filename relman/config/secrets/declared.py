"""What an inventory says of secrets: where the value of each comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from relman.config.inventory.tree import Variable
from relman.config.inventory.vault import TAG
from relman.config.schema import values, values_names
from relman.config.schema.secrets import secret_name
from relman.config.schema.values import Faults
from relman.config.suggestions import kind_of
from relman.config.yaml_document import Tagged
from relman.model.grants.secrets import SecretSource, SourceKind

VARIABLE = "relman_secrets"
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

Declared = Mapping[str, tuple[SourceKind, tuple[str, ...]]]


def declared(value: object) -> Declared:
    """What a variable relman_secrets says, by the secrets' names. Raises ValueError, with every fault."""
    if not isinstance(value, dict):
        raise ValueError(f"expected names of secrets and their sources, found {kind_of(value)}")  # noqa: TRY004
    found: dict[str, tuple[SourceKind, tuple[str, ...]]] = {}
    faults: list[tuple[tuple[str, ...], str]] = []
    for name, source in value.items():
        try:
            secret_name(name)
            found[name] = _source(source)
        except ValueError as error:
            faults.append(((name,), str(error)))
    if faults:
        raise Faults(faults)
    return found


def _source(value: object) -> tuple[SourceKind, tuple[str, ...]]:
    kinds = ", ".join(SourceKind)
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueError(f"expected one source: one of {kinds}")
    ((kind, said),) = value.items()
    if kind not in list(SourceKind):
        raise ValueError(f"expected one of {kinds}, found {kind}")
    try:
        return SourceKind(kind), _READ[SourceKind(kind)](said)
    except ValueError as error:
        raise ValueError(f"{kind}: {error}") from None


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
            found |= {name: _located(layer[VARIABLE], name, *one, variables) for name, one in said.items()}
    return found


def _located(
    written: Variable, name: str, kind: SourceKind, words: tuple[str, ...], variables: Mapping[str, Variable]
) -> SecretSource:
    place = written.problem("", (name,), on_key=True)
    text, is_open = _vaulted(variables.get(words[0])) if kind is SourceKind.VAULT else (None, False)
    folder = str(Path(written.document.source.file).parent)
    return SecretSource(kind, words, f"{place.file}:{place.line}:{place.column}", folder, text, is_open)


def _vaulted(variable: Variable | None) -> tuple[str | None, bool]:
    """What a variable holds in Ansible Vault, and whether it is decrypted already."""
    if variable is None:
        return None, False
    if isinstance(variable.value, Tagged) and variable.value.tag in _VAULTED:
        return variable.value.text, False
    sealed = variable.document.sealed and isinstance(variable.value, str | int | float)
    return (values.text(variable.value), True) if sealed else (None, False)
