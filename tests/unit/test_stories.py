"""The stories on hosts do not get into each other's way."""

from __future__ import annotations

import re
from collections import defaultdict

from tests.unit.documents import ROOT

RELEASED = re.compile(r"\b\w+\.release\(\s*\"([^\"]+)\"")
# Releases of several tags: `for tag in ("1", "2")`, `for tag, … in (("1", …), …)` and `TAGS = ("1", "2")`.
SEVERAL = re.compile(r"for tag\b[^(\n]* in \((.*)\):\n\s+[\w.]+\.release\(tag|^TAGS = \((.*)\)", re.MULTILINE)


def test_no_two_files_release_the_same_tag() -> None:
    """Files that the same worker runs share a lab and its registry, where a release never moves."""
    files: dict[str, set[str]] = defaultdict(set)
    for file in [*(ROOT / "tests/e2e").glob("test_*.py"), *(ROOT / "tests/soak").glob("*.py")]:
        text = file.read_text()
        several = [tag for found in SEVERAL.findall(text) for tag in re.findall(r"\"([^\"]+)\"", "".join(found))]
        for tag in (*RELEASED.findall(text), *several):
            files[tag].add(file.name)
    assert len(files) > 20
    assert {tag: names for tag, names in files.items() if len(names) > 1} == {}
