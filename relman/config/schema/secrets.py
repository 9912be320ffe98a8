"""The schema of the secrets that a container is given."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, model_validator

from relman.config.schema import values, values_names
from relman.config.schema.base import EnvName, Section, exactly_one, or_alone, parsed
from relman.config.suggestions import shown
from relman.model.grants.secrets import DIRECTORY, SecretRef


def _file(value: object) -> str:
    found = posixpath.normpath(values.absolute_path(value))
    if found.strip("/") == "":
        raise ValueError(f"expected the path of a file, found {shown(value)}")
    return found


class SecretUse(Section):
    """How the container finds the secret; where nothing is said, as the file /run/secrets/NAME."""

    __get_pydantic_json_schema__ = or_alone({"type": "null"})

    file: Annotated[str, parsed(_file)] | None = None
    env: EnvName | None = None

    @model_validator(mode="before")
    @classmethod
    def _nothing_said(cls, data: Any) -> Any:
        if data is not None and not isinstance(data, dict):
            raise ValueError("expected {file: PATH} or {env: NAME}, and never the value itself")
        return data or {}

    @model_validator(mode="after")
    def _one(self) -> Self:
        exactly_one(self, ("file", "env"), "where it is found", required=False)
        return self

    def value(self, name: str) -> SecretRef:
        """The model's reference."""
        file = "" if self.env else self.file or f"{DIRECTORY}/{name}"
        return SecretRef(name, file, self.env or "")


SecretName = Annotated[str, AfterValidator(values_names.secret_name)]


def references(secrets: Mapping[str, SecretUse]) -> tuple[SecretRef, ...]:
    """The model's references, in the order of their names."""
    return tuple(secrets[name].value(name) for name in sorted(secrets))


def clash(refs: tuple[SecretRef, ...], targets: Mapping[str, str]) -> tuple[str, str] | None:
    """The name of a secret that cannot have its place, and why; `targets` says what a path or a variable is already."""
    taken = dict(targets)
    for ref in refs:
        place = ref.file or ref.env
        if place in taken:
            return ref.name, f"{place} is {taken[place]} already"
        taken[place] = f"the secret {ref.name}"
    return None
