"""Parsers of single plain values of relman.yml: from YAML's value to the model's.

All raise ValueError with what was expected, in words for the file's author.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence

from relman.config.suggestions import kind_of, shown
from relman.config.yaml_document import KeyPath, Tagged
from relman.model.errors import UsageError
from relman.model.formats.untrusted_json import LONGEST_WAIT

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "": 1}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h|d|)")


class Faults(ValueError):
    """Several faults in one value, each with the path inside it."""

    def __init__(self, faults: Sequence[tuple[KeyPath, str]]) -> None:
        super().__init__(faults[0][1])
        self.faults = tuple(faults)


def text(value: object) -> str:
    """Text; a number or boolean is taken as written."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    advice = {type(None): 'write "" for an empty one', Tagged: "relman cannot read it"}
    raise ValueError(f"expected text, found {kind_of(value)}; {advice.get(type(value), 'put it in quotes')}")


def word(value: object) -> str:
    """Text that is not empty, on one line."""
    found = text(value)
    if not found or any(ord(c) < 32 or ord(c) == 127 for c in found):
        raise ValueError("expected text of one line that is not empty")
    return found


def seconds(value: object) -> float:
    """A duration: a number of seconds, or with a unit ms, s, m, h, d."""
    found = _DURATION.fullmatch(str(value)) if isinstance(value, str | int | float) else None
    if not found or isinstance(value, bool):
        raise ValueError(f"expected a duration such as 10s, 2m or 0.5s, found {shown(value)}")
    if (length := float(found[1]) * _UNITS[found[2]]) > LONGEST_WAIT:
        raise ValueError(f"expected at most {LONGEST_WAIT:.0f} seconds, found {shown(value)}")
    return length


def positive_seconds(value: object) -> float:
    """A duration longer than 0."""
    if not (found := seconds(value)):
        raise ValueError("expected a duration longer than 0")
    return found


def whole_seconds(value: object) -> int:
    """A duration in whole seconds."""
    if (found := seconds(value)) != int(found):
        raise ValueError(f"expected whole seconds, found {shown(value)}")
    return int(found)


def replicas(value: object) -> int:
    """A number of containers on one host."""
    if isinstance(value, int | str) and not isinstance(value, bool) and re.fullmatch(r"[1-9][0-9]?|100", str(value)):
        return int(value)
    raise ValueError(f"expected a number of containers from 1 to 100, found {shown(value)}")


def share(value: object) -> str:
    """A count of hosts, or a percentage of them."""
    found = re.fullmatch(r"([1-9][0-9]{0,5})(%?)", str(value)) if isinstance(value, str | int) else None
    if not found or (found[2] and int(found[1]) > 100):
        raise ValueError(f'expected a count of hosts such as 1, or a share such as "25%", found {shown(value)}')
    return found[0]


def batches(value: object) -> tuple[str, ...]:
    """A count or share of hosts, or a list of them."""
    if isinstance(value, list):
        return tuple(share(item) for item in value)
    return (share(value),)


def argv(value: object) -> tuple[str, ...]:
    """A command: a list of words, or one text for a shell."""
    if isinstance(value, str) and value.strip():
        return ("/bin/sh", "-c", value)
    if isinstance(value, list) and value:
        return tuple(text(part) for part in value)
    raise ValueError("expected a command: a list of words, or one text for /bin/sh -c")


def truth(value: object) -> bool:
    """`true` or `false`."""
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, found {shown(value)}")  # noqa: TRY004
    return value


def command_words(value: object) -> tuple[str, ...]:
    """A command without a shell: its words in one text, quoted as for a shell, or in a list."""
    try:
        words = tuple(text(part) for part in value) if isinstance(value, list) else tuple(shlex.split(word(value)))
    except ValueError as error:
        raise ValueError(f"expected a command such as sudo -n docker, found {shown(value)}") from error
    if not words or any("\0" in part or "\n" in part for part in words):
        raise ValueError(f"expected a command such as sudo -n docker, found {shown(value)}")
    return words


def true(value: object) -> bool:
    """`true`: the key itself is the choice."""
    if value is not True:
        raise ValueError("expected true; leave the key out otherwise")
    return True


def absolute_path(value: object) -> str:
    """An absolute path on a host."""
    if not (found := word(value)).startswith("/"):
        raise ValueError(f"expected an absolute path, found {shown(found)}")
    return found


def matching(pattern: re.Pattern[str], value: str, expected: str) -> str:
    """The value, if all of it matches the pattern."""
    if not pattern.fullmatch(value):
        raise ValueError(f"expected {expected}; found {shown(value)}")
    return value


def by_model(check: Callable[[], str]) -> str:
    """The result of a check in the model, with its UsageError as ValueError."""
    try:
        return check()
    except UsageError as error:
        raise ValueError(error.what) from None
