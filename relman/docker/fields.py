"""An engine's JSON, read field by field: nonsense is an EngineError that says which field. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from relman.model.errors import EngineError
from relman.model.image import ImageId
from relman.model.image_config import exposed_ports

_ID = re.compile(r"[0-9a-f]{12,128}")
_IMAGE = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
_PORT = re.compile(r"[0-9]{1,5}")
_PORTS = range(1 << 16)
_MOST = 1 << 63
_LONGEST = 1 << 20


class Fields:
    """An object of JSON at `path`. What is absent or null is empty, unless it is needed; every reader raises
    EngineError, without a host."""

    def __init__(self, data: Mapping[str, Any], path: str) -> None:
        self._data = data
        self._path = path

    @classmethod
    def of(cls, data: Any, path: str = "") -> Fields:
        """An object."""
        if not isinstance(data, dict):
            raise _wrong(path, "not an object")
        return cls(data, path)

    @classmethod
    def all_of(cls, rows: Any, path: str = "") -> list[Fields]:
        """An array of objects."""
        if not isinstance(rows, list):
            raise _wrong(path, "not an array")
        return [cls.of(row, f"{path}[{number}]") for number, row in enumerate(rows)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def fields(self, name: str, *, needed: bool = False) -> Fields:
        """An object in it."""
        found = self._data.get(name)
        return Fields.of({} if found is None and not needed else found, self._at(name))

    def rows(self, name: str) -> list[Any]:
        """An array of anything."""
        found = self._data.get(name)
        if found is None:
            return []
        if not isinstance(found, list):
            raise self._is(name, "not an array")
        return found

    def each(self, name: str) -> list[Fields]:
        """An array of objects."""
        return Fields.all_of(self.rows(name), self._at(name))

    def texts(self, name: str) -> tuple[str, ...]:
        """An array of strings."""
        found = self.rows(name)
        if not all(isinstance(each, str) for each in found):
            raise self._is(name, "not an array of strings")
        return tuple(found)

    def pairs(self, name: str) -> dict[str, str]:
        """An object whose values are strings."""
        found = self._data.get(name)
        if found is None:
            return {}
        if not (isinstance(found, dict) and all(isinstance(value, str) for value in found.values())):
            raise self._is(name, "not an object of strings")
        return found

    def text(self, name: str, *, needed: bool = False) -> str:
        """A string."""
        found = self._data.get(name)
        if found is None and not needed:
            return ""
        if not isinstance(found, str) or len(found) > _LONGEST:
            raise self._is(name, "not a string" if not isinstance(found, str) else "too long")
        return found

    def number(self, name: str) -> int:
        """A whole number of 64 bits."""
        found = self._data.get(name)
        if found is None:
            return 0
        if not isinstance(found, int) or isinstance(found, bool) or not -_MOST <= found < _MOST:
            raise self._is(name, "not a whole number")
        return found

    def flag(self, name: str) -> bool:
        """True or false."""
        found = self._data.get(name)
        if found is not None and not isinstance(found, bool):
            raise self._is(name, "neither true nor false")
        return bool(found)

    def id(self, name: str) -> str:
        """A container's id, which becomes part of later requests."""
        found = self.text(name, needed=True)
        if not _ID.fullmatch(found):
            raise self._is(name, "not an id")
        return found

    def ids(self, name: str) -> tuple[str, ...]:
        """An array of ids."""
        found = self.texts(name)
        if not all(_ID.fullmatch(each) for each in found):
            raise self._is(name, "not an array of ids")
        return found

    def image_id(self, name: str) -> ImageId:
        """An image's id; Podman leaves the algorithm out."""
        found = _IMAGE.fullmatch(self.text(name, needed=True))
        if not found:
            raise self._is(name, "not an image id")
        return ImageId(f"sha256:{found[1]}")

    def port(self, name: str) -> int:
        """A port, or 0, written as a string."""
        found = self.text(name) or "0"
        if not _PORT.fullmatch(found) or int(found) not in _PORTS:
            raise self._is(name, "not a port")
        return int(found)

    def ports(self, name: str) -> tuple[tuple[int, str], ...]:
        """An object whose keys are ports that are exposed, lowest first."""
        try:
            return exposed_ports(self.fields(name))
        except ValueError as error:
            raise self._is(name, "not a set of ports") from error

    def _at(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def _is(self, name: str, what: str) -> EngineError:
        return _wrong(self._at(name), what)


def _wrong(path: str, what: str) -> EngineError:
    return EngineError(f"{path[:200] or 'its answer'} is {what}")
