"""A section of Kamal's file, which knows the place of its keys."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from relman.config.compose import forms
from relman.config.suggestions import shown
from relman.config.yaml_document import Document, KeyPath
from relman.model.errors import ConfigError

_Form = TypeVar("_Form")


@dataclass(frozen=True)
class Section:
    """A mapping at `path`. All methods raise ConfigError, with the key's place, for a value of another form."""

    document: Document
    path: KeyPath
    tree: Mapping[str, Any]

    @classmethod
    def at(cls, document: Document, path: KeyPath, value: Any) -> Self:
        """The section that this value is; an empty one for None."""
        if value is None or isinstance(value, dict):
            return cls(document, path, value or {})
        raise ConfigError([document.problem(path, f"expected a mapping, found {shown(value)}")])

    def section(self, key: str) -> Section:
        """A section in it."""
        return Section.at(self.document, (*self.path, key), self.tree.get(key))

    def sections(self) -> dict[str, Section]:
        """All of its keys, each a section."""
        return {str(key): self.section(key) for key in self.tree}

    def others(self, known: Collection[str]) -> list[str]:
        """Its keys but for these."""
        return [key for key in self.tree if key not in known]

    def items(self, key: str) -> list[Any]:
        """A list; one value is a list of it."""
        return forms.items(self.tree.get(key))

    def text(self, key: str, default: str = "") -> str:
        """A scalar as text."""
        value = self.tree.get(key)
        return default if value is None else self.scalar(value, key)

    def texts(self, key: str) -> list[str]:
        """A list of scalars, or one."""
        return [self.scalar(each, key, number) for number, each in enumerate(self.items(key))]

    def pairs(self, key: str) -> dict[str, str]:
        """A mapping of names to scalars."""
        own = self.section(key)
        return {name: own.text(name) for name in own.tree}

    def required(self, key: str) -> str:
        """A text that must be there."""
        if found := self.text(key):
            return found
        raise self.fault(f"expected the key {key}, as Kamal does")

    def seconds(self, key: str) -> float | None:
        """A number of seconds."""
        value = self.tree.get(key)
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            return value
        raise self.fault(f"expected a number of seconds, found {shown(value)}", key)

    def each(self, form: Callable[[str], _Form], texts: Iterable[str]) -> tuple[_Form, ...]:
        """These texts of the section in a form of compose's."""
        try:
            return tuple(map(form, texts))
        except ValueError as error:
            raise self.fault(str(error)) from None

    def scalar(self, value: Any, *below: str | int) -> str:
        """This value of the section as text."""
        try:
            return forms.text(value)
        except ValueError as error:
            raise self.fault(str(error), *below) from None

    def fault(self, message: str, *below: str | int) -> ConfigError:
        """An error at a place below it."""
        return ConfigError([self.document.problem((*self.path, *below), message)])
