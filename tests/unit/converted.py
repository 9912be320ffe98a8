"""What `relman init --from` writes for the files of other tools in data/."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from relman.config.deploy import frozen, resolve_on
from relman.config.inventory.load import load_inventory
from relman.config.service import load_service
from tests.unit.cli import relman

Converted = Callable[[str], Path]
"""The directory of a kind of file, with what was written there, and said (said.txt)."""


def conversions(data: Path, file: str, below: Path) -> Converted:
    """Converts this file of the kinds in `data`: each once, in a directory `below`, and tests only read it."""

    @cache
    def one(kind: str) -> Path:
        root = below / kind
        shutil.copytree(data / kind, root)
        done = relman("init", "--from", file, cwd=root)
        assert done.returncode == 0, done.stderr
        (root / "said.txt").write_text(done.stdout)
        return root

    return one


def written(root: Path, name: str = "relman.yml") -> dict[str, Any]:
    """A file that was written."""
    found: dict[str, Any] = yaml.safe_load((root / name).read_text())
    return found


def assert_good(root: Path, passwords: Collection[str]) -> None:
    """Every relman.yml passes `relman check`, its deploy section resolves for every host of the inventory, which has
    every secret and permission that it needs; and none of the passwords was copied."""
    chosen = load_inventory([root / "inventories/production.yml"]).environment("production")
    files = [*root.glob("relman*.yml")]
    assert root / "relman.yml" in files
    for file in files:
        service = load_service(file)
        for host in chosen.hosts:
            settings = resolve_on(host, service.name, frozen(service), origin=file.name)
            assert {ref.name for ref in settings.every_secret} <= set(host.secrets), file.name
        assert service.name in chosen.services
        checked = relman("check", "-f", file.name, cwd=root)
        assert checked.returncode == 0, checked.stdout + checked.stderr
    for file in (*files, root / "inventories/production.yml", root / "said.txt"):
        text = file.read_text()
        assert not [password for password in passwords if password in text], file.name
