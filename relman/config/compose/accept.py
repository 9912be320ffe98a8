"""Leave out of a new relman.yml what its schema refuses, and say why."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relman.config.compose.model import Lost
from relman.config.compose.text import yaml_text
from relman.config.deploy import frozen, resolve
from relman.config.service import parse_service
from relman.model.errors import ConfigError
from relman.model.grants.permissions import needed

_STEP = re.compile(r'\[(\d+)\]|("(?:[^"\\]|\\.)*")|([\w-]+)')
_TRIES = 20
_SECTION = 2  # steps to a key of deploy or test


def accepted(
    tree: dict[str, Any], file: str, root: str, variables: Mapping[str, str], lose: Lost
) -> tuple[dict[str, Any], list[str]]:
    """The tree without the keys that are refused, of which `lose` is told, and what the inventory has to grant.

    Raises ConfigError where a key cannot be left out.
    """
    tries = 0
    while True:
        tries += 1
        try:
            service = parse_service(yaml_text(tree).encode(), str(Path(root) / file))
            written = frozen(service)
            settings = resolve(written.section, variables, {}, origin=file, files=written.files)
        except ConfigError as error:
            for problem in reversed(error.problems):  # later items of a list first: the others keep their places
                if tries == _TRIES or not _leave_out(tree, _path(problem.key)):
                    raise
                lose(f"{file}, {problem.key}", problem.message)
        else:
            return tree, [str(permission) for permission in needed(settings)]


def _path(key: str) -> list[str | int]:
    return [json.loads(m[1] or m[2]) if m[1] or m[2] else m[3] for m in _STEP.finditer(key)]


def _leave_out(tree: Any, path: list[str | int]) -> bool:
    """Remove the value at a path, or the nearest one above it below deploy or test, and what is empty then."""
    while len(path) > 1:
        parent = tree
        try:
            for step in path[:-1]:
                parent = parent[step]
            del parent[path[-1]]
        except (KeyError, IndexError, TypeError):
            path.pop()
        else:
            return bool(parent) or len(path) <= _SECTION or _leave_out(tree, path[:-1])
    return False
