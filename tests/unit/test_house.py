"""What import-linter does not hold: class names that mean one thing, and folders that a reader can look through."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "relman"
SCHEMA = PACKAGE / "config" / "schema"
MOST = 22  # files of a folder
ONE_EACH = PACKAGE / "cli" / "commands"


def test_a_class_name_stands_for_one_thing() -> None:
    """But for a section of a file and the value that is made of it, protocols, and what its file keeps to itself."""
    homes: dict[str, list[Path]] = defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and not _is_protocol(node):
                homes[node.name].append(path)
    for paths in homes.values():
        if len(sections := [p for p in paths if p.is_relative_to(SCHEMA)]) == 1:
            paths.remove(sections[0])
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}


def test_no_folder_holds_more_files_than_one_looks_through() -> None:
    """But for the commands, of which each has a file."""
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    counts = {folder: len([*folder.glob("*.py")]) - 1 for folder in folders - {ONE_EACH}}
    assert {folder: count for folder, count in counts.items() if count > MOST} == {}


def _is_protocol(node: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)
