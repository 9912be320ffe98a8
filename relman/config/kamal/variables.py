"""Variables and secrets of Kamal's file, and where .kamal/secrets takes them from."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relman.config.compose.model import Lost, SecretUse
from relman.config.kamal.section import Section

_ASSIGNMENT = re.compile(r"^\s*(?:export\s+)?(?P<name>[A-Za-z_]\w*)=(?P<value>.*?)\s*$")
_VARIABLE = re.compile(r"\"?\$(?:(\w+)|\{(\w+)\})\"?")
_CAT = re.compile(r"\"?\$\(\s*cat\s+([\w./][\w./-]*)\s*\)\"?")


@dataclass(frozen=True)
class Variables:
    """Plain variables, and the secrets of others by the variable that is given them."""

    clear: Mapping[str, str] = field(default_factory=dict)
    secret: Mapping[str, str] = field(default_factory=dict)

    def over(self, below: Variables) -> Variables:
        """These before those of `below`."""
        clear = {n: v for n, v in below.clear.items() if n not in self.secret} | dict(self.clear)
        secret = {n: v for n, v in below.secret.items() if n not in self.clear} | dict(self.secret)
        return Variables(clear, secret)

    def named(self) -> dict[str, str]:
        """Kamal's secrets by their names in deploy.secrets."""
        return {secret_name(variable, secret): secret for variable, secret in self.secret.items()}

    def uses(self) -> tuple[SecretUse, ...]:
        """The secrets, each named after its variable and, where it has another name, after itself."""
        return tuple(SecretUse(secret_name(name, secret), variable=name) for name, secret in self.secret.items())


def secret_name(variable: str, secret: str) -> str:
    """The name in deploy.secrets."""
    return (variable if variable == secret else f"{variable}.{secret}").lower().lstrip("_")


def variables(section: Section) -> Variables:
    """The `env` of a section: variables alone, or `clear` and `secret`."""
    env = section.section("env")
    if not {"clear", "secret", "tags"} & env.tree.keys():
        return Variables(section.pairs("env"))
    listed = (name.partition(":") for name in env.texts("secret"))
    return Variables(env.pairs("clear"), {name: secret or name for name, _, secret in listed})


def sources(root: Path, used: Collection[str], lost: Lost) -> dict[str, dict[str, Any]]:
    """Where the secrets that are used come from, in the form of compose's `secrets`; no value is kept."""
    found: dict[str, dict[str, Any]] = {}
    for path in (".kamal/secrets-common", ".kamal/secrets"):
        try:
            lines = (root / path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        for line in filter(None, map(_ASSIGNMENT.match, lines)):
            if line["name"] not in used:
                continue
            found[line["name"]] = _source(line["name"], line["value"], path, lost)
    return found


def _source(name: str, value: str, path: str, lost: Lost) -> dict[str, Any]:
    if used := _VARIABLE.fullmatch(value):
        return {"environment": used[1] or used[2]}
    if file := _CAT.fullmatch(value):
        return {"command": ["cat", file[1] if file[1].startswith("/") else posixpath.normpath(f"../{file[1]}")]}
    kind = "the command that finds it" if "$(" in value else "its text"
    lost(f"{path} ({name})", f"{kind} is not copied: `relman deploy` expects it in its variable {name}")
    return {"environment": name}
