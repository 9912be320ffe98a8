"""The schema of the files that a container is given."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import PlainValidator

from relman.config.schema import values
from relman.config.schema.lists import FaultList
from relman.config.suggestions import kind_of, shown
from relman.config.yaml_document import KeyPath
from relman.model.files import DeployFile

_KERNEL_S = ("/proc", "/sys", "/dev")
_SOCKETS = ("/run/docker.sock", "/var/run/docker.sock")
_LONGEST = 255


def _name(written: str) -> str:
    """A path below the directory of relman.yml, without `.` in it."""
    found = posixpath.normpath(written)
    below = written and not written.startswith("/") and not {"..", ".git", "."} & set(found.split("/"))
    if not below or not found.isprintable() or "=" in found or "${" in found or len(found) > _LONGEST:
        raise ValueError(
            f"expected a file below the directory of relman.yml, without ${{ and =, found {shown(written)}"
        )
    return found


def _target(written: object) -> str:
    """An absolute path in the container."""
    found = plain(values.absolute_path(written))
    if ".." in str(written).split("/") or "${" in found or not found.isprintable():
        raise ValueError(f"expected an absolute path without .. and ${{, found {shown(written)}")
    if found == "/" or any(_overlap(found, each) for each in (*_KERNEL_S, *_SOCKETS)):
        raise ValueError(f"expected the path of a file of its own in the container, found {shown(written)}")
    return found


def plain(path: str) -> str:
    """An absolute path as the kernel sees it: only one slash at its beginning."""
    return "/" + posixpath.normpath(path).strip("/")


def _overlap(one: str, other: str) -> bool:
    """Whether two paths are the same, or one lies below the other."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _files(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f"expected files and their places in the container, found {kind_of(value)}")  # noqa: TRY004
    faults, found, names = FaultList(), dict[str, str](), set[str]()
    for written, target in value.items():
        for name in faults.of((written,), lambda written=written: _name(written)):  # type: ignore[misc]
            if name in names:
                faults.found.append(((written,), f"{name} is given twice"))
            names.add(name)
        for place in faults.of((written,), lambda target=target: _target(target)):  # type: ignore[misc]
            found[written] = place
    faults.done()
    return found


Files = Annotated[dict[str, str], PlainValidator(_files, json_schema_input_type=dict[str, str])]


def references(files: Mapping[str, str]) -> tuple[DeployFile, ...]:
    """The model's files, in the order of their names; nobody has read them yet."""
    return tuple(sorted(DeployFile(posixpath.normpath(written), target) for written, target in files.items()))


def misplaced(files: Mapping[str, str], taken: Mapping[str, str]) -> Iterator[tuple[KeyPath, str]]:
    """The files that cannot have their places, and why; `taken` says what a path is already."""
    there = {plain(path): what for path, what in taken.items()}
    for written, target in files.items():
        if other := next((path for path in there if _overlap(target, path)), None):
            yield ("files", written), f"{other} is {there[other]} already"
        there.setdefault(target, f"the file {written}")
