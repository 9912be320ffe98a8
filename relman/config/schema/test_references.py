"""`${name}` in the environment of tests and their services: what a name may be, and how a text is filled.

    ${db.host} ${db.port} ${db.port.5432} ${db.env.NAME}   of the service linked as `db`
    ${run.id}                                               JOB/BUILD
    ${secret:NAME}                                          the variable NAME of the CI's own environment, no RELMAN_*
    ${…:-text}                                              text where the value is missing or empty

`$${` is a literal `${`, and any other `$` is itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from relman.config.placeholders import Placeholders
from relman.config.schema import values_names
from relman.config.suggestions import did_you_mean, shown

RUN_ID = "run.id"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FORMS = "known are ALIAS.host, ALIAS.port, ALIAS.port.NUMBER, ALIAS.env.NAME, run.id and secret:NAME"

_REFERENCES = Placeholders(
    r"(?:secret:)?[A-Za-z0-9_.-]+",
    f"after ${{ a name and }} must follow ({_FORMS}); write $${{ for a literal ${{",
)


@dataclass(frozen=True)
class Name:
    """A reference in a text: `kind` is run, secret, host, port or env; `alias` is the service ("" for the first
    two), `item` the variable's name or the port's number ("" for the service's own port). `text` is the reference as
    written."""

    kind: str
    alias: str = ""
    item: str = ""
    text: str = ""


def names(text: str) -> Iterator[Name]:
    """All references in a text. Raises ValueError for a malformed `${`."""
    return map(_name, _REFERENCES.names(text))


def check(text: str, aliases: Collection[str], hint: str = "") -> None:
    """Raise ValueError if a text refers to anything but the run, secrets, and the services in `aliases`; `hint` is
    appended for an unknown service."""
    for name in names(text):
        if name.alias and name.alias not in aliases:
            known = ", ".join(sorted(aliases)) or "none"
            near = did_you_mean(name.alias, aliases)
            raise ValueError(f"unknown name {name.text}: no service {name.alias}, known are {known}{hint}{near}")


def fill(text: str, value: Callable[[Name], str | None]) -> str:
    """Replace every reference by its value. A default is used if that is None or empty, and is not itself expanded.

    Raises ValueError for a missing value without a default.
    """
    return _REFERENCES.fill(text, lambda name: value(_name(name)), lambda name: f"{name} has no value here")


def _name(text: str) -> Name:
    if text == RUN_ID:
        return Name("run", text=text)
    if text.startswith("secret:") and _VARIABLE.fullmatch(item := text.removeprefix("secret:")):
        values_names.not_relman_s(item)
        return Name("secret", "", item, text)
    alias, _, rest = text.partition(".")
    kind, dot, item = rest.partition(".")
    wanted = {"host": not dot, "port": not dot or _is_port(item), "env": bool(_VARIABLE.fullmatch(item))}
    if not alias or not wanted.get(kind):
        raise ValueError(f"unknown name {shown(text)}: {_FORMS}")
    return Name(kind, alias, item, text)


def _is_port(text: str) -> bool:
    return bool(re.fullmatch(r"[1-9][0-9]{0,4}", text)) and int(text) <= 65535
