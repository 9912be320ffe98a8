"""`${NAME}` and `${NAME:-default}` in text; `$${` is a literal `${`, and any other `$` is literal, too. What a name may
be and what it stands for is for each user to say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_LITERAL = "$${"


@dataclass(frozen=True)
class Placeholders:
    """Placeholders whose names match the regular expression `name`; `malformed` says what is wrong with a `${` that is
    none."""

    name: str
    malformed: str
    _token: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        token = re.compile(rf"\$\$\{{|\$\{{(?:(?P<name>{self.name})(?::-(?P<default>[^}}]*))?\}})?")
        object.__setattr__(self, "_token", token)

    def names(self, text: str) -> Iterator[str]:
        """The name of each placeholder, in order. Raises ValueError for a `${` that is none."""
        return (self._name(match) for match in self._token.finditer(text) if match[0] != _LITERAL)

    def fill(self, text: str, value: Callable[[str], str | None], missing: Callable[[str], str]) -> str:
        """The text with the value of each name in its place. A default is taken where the value is None or empty, and
        is not itself filled. Raises ValueError for a `${` that is no placeholder, and with the words of `missing` for
        None without a default."""

        def one(match: re.Match[str]) -> str:
            if match[0] == _LITERAL:
                return "${"
            name, default = self._name(match), match["default"]
            found = value(name)
            if found or (found is not None and default is None):
                return found
            if default is None:
                raise ValueError(missing(name))
            return str(default)

        return self._token.sub(one, text)

    def _name(self, match: re.Match[str]) -> str:
        if not match["name"]:
            raise ValueError(self.malformed)
        return match["name"]
