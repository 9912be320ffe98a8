"""The schema of what a container is given beside its image: secrets and files."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, PlainValidator, model_validator

from relman.config.schema import values, values_names
from relman.config.schema.base import EnvName, Section, exactly_one, or_alone, parsed
from relman.config.schema.lists import FaultList
from relman.config.suggestions import kind_of, shown
from relman.config.yaml_document import KeyPath
from relman.model.files import DeployFile
from relman.model.grants.secrets import DIRECTORY, SecretRef

_KERNEL_S = ("/proc", "/sys", "/dev")
_SOCKETS = ("/run/docker.sock", "/var/run/docker.sock")
_LONGEST = 255


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


def _file_name(written: str) -> str:
    """A path below the directory of relman.yml, without `.` in it."""
    found = posixpath.normpath(written)
    below = written and not written.startswith("/") and not {"..", ".git", "."} & set(found.split("/"))
    if not below or not found.isprintable() or "=" in found or "${" in found or len(found) > _LONGEST:
        raise ValueError(
            f"expected a file below the directory of relman.yml, without ${{ and =, found {shown(written)}"
        )
    return found


def _file_target(written: object) -> str:
    """An absolute path in the container."""
    found = plain(values.absolute_path(written))
    if ".." in str(written).split("/") or "${" in found or not found.isprintable():
        raise ValueError(f"expected an absolute path without .. and ${{, found {shown(written)}")
    if found == "/" or any(_overlap(found, each) for each in (*_KERNEL_S, *_SOCKETS)):
        told = "expected a file in the container, not in /proc, /sys or /dev and no socket of an engine"
        raise ValueError(f"{told}, found {shown(written)}")
    return found


def plain(path: str) -> str:
    """An absolute path as the kernel sees it: only one slash at its beginning."""
    return "/" + posixpath.normpath(path).strip("/")


def _overlap(one: str, other: str) -> bool:
    """Whether two paths are the same, or one lies below the other."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _files_at(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f"expected files and their places in the container, found {kind_of(value)}")  # noqa: TRY004
    faults, found, names = FaultList(), dict[str, str](), set[str]()
    for written, target in value.items():
        for name in faults.of((written,), lambda written=written: _file_name(written)):  # type: ignore[misc]
            if name in names:
                faults.found.append(((written,), f"{name} is given twice"))
            names.add(name)
        for place in faults.of((written,), lambda target=target: _file_target(target)):  # type: ignore[misc]
            found[written] = place
    faults.done()
    return found


Files = Annotated[dict[str, str], PlainValidator(_files_at, json_schema_input_type=dict[str, str])]


def file_references(files: Mapping[str, str]) -> tuple[DeployFile, ...]:
    """The model's files, in the order of their names; nobody has read them yet."""
    return tuple(sorted(DeployFile(posixpath.normpath(written), target) for written, target in files.items()))


def misplaced(files: Mapping[str, str], taken: Mapping[str, str]) -> Iterator[tuple[KeyPath, str]]:
    """The files that cannot have their places, and why; `taken` says what a path is already."""
    there = {plain(path): what for path, what in taken.items()}
    for written, target in files.items():
        if other := next((path for path in there if _overlap(target, path)), None):
            yield ("files", written), f"{other} is {there[other]} already"
        there.setdefault(target, f"the file {written}")
