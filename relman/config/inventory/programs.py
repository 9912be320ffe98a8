"""Inventories that only a program can print: scripts, plugins and TOML. Run only on explicit request.

Documentation: https://docs.ansible.com/ansible/latest/dev_guide/developing_inventory.html#inventory-script-conventions.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relman.config import yaml
from relman.config.inventory.files import Form, InventoryFile
from relman.config.yaml_document import Document
from relman.local import process_group
from relman.model.errors import UsageError

SECONDS = 30.0
_LARGEST = 16 << 20
_OWN = "RELMAN_"


def ask(source: InventoryFile, environ: Mapping[str, str]) -> Document:
    """Run the script (`--list`), or ansible-inventory for all other forms, and parse the JSON that it prints.

    It runs without relman's variables, with an empty ANSIBLE_CONFIG, in a temporary directory. Raises UsageError if it
    fails, is missing, takes longer than 30 s or prints more than 16 MiB.
    """
    path = source.path.absolute()
    with tempfile.TemporaryDirectory(prefix="relman-inventory-") as home:
        config = Path(home, "ansible.cfg")
        config.touch()
        clean = {name: value for name, value in environ.items() if not name.startswith(_OWN)}
        env = {**clean, "ANSIBLE_CONFIG": str(config)}
        if source.form is Form.SCRIPT:
            argv = [str(path), "--list"]
        else:
            argv = ["ansible-inventory", "--list", "--export", "-i", str(path)]
        printed = _run(argv, env, home)
    try:
        groups = json.loads(printed)
        tree = _tree(groups)
    except (ValueError, RecursionError, AttributeError, TypeError):
        raise UsageError(f"{argv[0]} did not print an inventory in JSON for {source.path}") from None
    # Parsed again, so that every fault has a position in output that the reader can reproduce.
    text = json.dumps(tree, indent=1)
    return yaml.parse(text.encode(), f"the output of {argv[0]} for {source.path}", lenient=True)


def _run(argv: list[str], env: Mapping[str, str], home: str) -> bytes:
    """What a program prints: one that a person named, and asked to be run."""
    printed, errors = bytearray(), process_group.Tail()

    def collect(piece: bytes) -> None:
        printed.extend(piece)
        if len(printed) > _LARGEST:
            raise UsageError(f"{argv[0]} printed more than {_LARGEST >> 20} MiB")

    try:
        code = process_group.run(argv, collect, errors=errors, env=env, cwd=home, timeout=SECONDS)
    except OSError as error:
        raise UsageError(
            f"{argv[0]} cannot be run: {error.strerror}", hint="is it installed, and executable?"
        ) from error
    if code is None:
        raise UsageError(f"{argv[0]} did not end within {SECONDS:g} s")
    if code:
        raise UsageError(f"{argv[0]} ended with {code}", details=errors.lines[-5:])
    return bytes(printed)


def _tree(groups: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the output of `--list`, in which a group may be a list of its hosts, to the YAML form."""
    tree: dict[str, Any] = {}
    for name, body in groups.items():
        if name == "_meta":
            continue
        said = {"hosts": body} if isinstance(body, list) else body
        tree[name] = {
            "hosts": dict.fromkeys(said.get("hosts") or ()),
            "children": dict.fromkeys(said.get("children") or ()),
            "vars": said.get("vars") or {},
        }
    hosts = groups.get("_meta", {}).get("hostvars", {})
    if hosts:
        tree.setdefault("all", {}).setdefault("hosts", {}).update(hosts)
    return tree
