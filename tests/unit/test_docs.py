"""What the documents say of the project is so."""

from __future__ import annotations

import re
import shlex
import tomllib
from dataclasses import fields
from pathlib import Path

import click
import pytest

from relman.cli.exits import Exit
from relman.cli.main import VERBS
from relman.cli.main import relman as group
from relman.config.deploy import resolve
from relman.config.inventory.load import load_inventory
from relman.config.service import parse_service
from relman.model.errors import Symptoms
from relman.model.state_dir.journal import Failed, JournalLine
from relman.model.state_dir.lock import Intent, Lock
from relman.model.state_dir.record import Deployed, HostRecord
from tests.unit.documents import ROOT, anchors, blocks, exit_table, prose, under

DOCUMENTS = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")]
DOCUMENTS += sorted((ROOT / "docs").rglob("*.md"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
COMMAND = re.compile(r"(?:^    \$ |`)relman ([^`\n]*)", re.MULTILINE)
OPTION = re.compile(r"--[a-z][a-z-]*")

each = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: file.name)


def _options(verb: str | None) -> set[str]:
    context = click.Context(group)
    command = group.get_command(context, verb) if verb else group
    assert command is not None, f"there is no relman {verb}"
    commands = [command, *(command.commands.values() if verb and isinstance(command, click.Group) else ())]
    params = [p for each in commands for p in each.params if isinstance(p, click.Option)]
    return {name for p in params for name in (*p.opts, *p.secondary_opts)} | {"--help"}


@each
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    """Files and headings that are linked exist."""
    for target in LINK.findall(prose(document.read_text())):
        if target.startswith("https:"):
            continue
        path, _, fragment = target.partition("#")
        file = (document.parent / path) if path else document
        assert file.exists(), target
        assert not fragment or fragment in anchors(file.read_text()), target


@each
def test_every_command_that_is_named_exists(document: Path) -> None:
    """A command, in a sentence or a transcript, has this name and these options."""
    for line in COMMAND.findall(document.read_text()):
        verb, *words = shlex.split(line.partition(" | ")[0])
        if verb.startswith("-"):
            assert verb in _options(None), line
            continue
        known = _options(verb)
        assert [word for word in words if word.startswith("-") and word not in known] == [], line


@each
def test_every_option_that_is_named_exists(document: Path) -> None:
    """An option that a sentence names is one of some command's."""
    known = {option for verb in (None, *VERBS) for option in _options(verb)}
    named = {m for span in re.findall(r"`(--[^`]*)`", prose(document.read_text())) for m in OPTION.findall(span)}
    assert named - known == set()


@each
def test_every_file_that_is_named_exists(document: Path) -> None:
    """Paths of the project in a document are paths of the project."""
    spans = re.findall(r"`((?:relman|tests|inventories|docs)/[^`]*)`", document.read_text())
    assert [path for path in spans if not (ROOT / path).exists()] == []
    files = {file.name for top in ("relman", "tests") for file in (ROOT / top).rglob("*.py")}
    assert set(re.findall(r"`([a-z_]+\.py)`", document.read_text())) - files == set()


def test_every_command_is_in_the_changelog() -> None:
    """A user who reads what is new learns of every command."""
    text = (ROOT / "CHANGELOG.md").read_text()
    assert [verb for verb in VERBS if f"relman {verb}" not in text and f"`{verb}`" not in text] == []


def test_every_dependency_is_explained_and_no_other() -> None:
    """ARCHITECTURE.md has a reason for each package of pyproject.toml."""
    wanted = [
        *PROJECT["dependencies"],
        *(each for extra in PROJECT["optional-dependencies"].values() for each in extra),
    ]
    names = {re.split(r"[\[<>=]", line)[0] for line in wanted}
    text = under((ROOT / "ARCHITECTURE.md").read_text(), "Dependencies")
    rows = [row.split(", ") for row in re.findall(r"^\| ([A-Za-z][\w, -]*) \|", text, re.MULTILINE)]
    assert {name for row in rows for name in row} - {"package"} == names


def test_the_fields_of_a_host_s_files_are_explained() -> None:
    """Each field of lock, record and journal is named where ARCHITECTURE.md describes the files."""
    text = under((ROOT / "ARCHITECTURE.md").read_text(), "Files on a host")
    kinds = (Lock, Intent, HostRecord, Deployed, JournalLine, Failed, Symptoms)
    named = {field.name for kind in kinds for field in fields(kind)}
    assert [name for name in sorted(named) if f"`{name}`" not in text] == []


def test_the_readme_s_exit_codes_are_the_command_line_s() -> None:
    """Each code with its name, and none besides."""
    table = exit_table(under((ROOT / "README.md").read_text(), "Exit codes"))
    assert table == {int(code): code.name for code in Exit}


def test_the_readme_s_examples_are_good(tmp_path: Path) -> None:
    """Its relman.yml and its inventory load, and have what each other needs."""
    found = {block.info: block.text for block in blocks((ROOT / "README.md").read_text())}
    service = parse_service(found["yaml"].encode(), "relman.yml")
    file = tmp_path / "inventory.yml"
    file.write_text(found["yaml inventory"])
    environment = load_inventory([file]).environment("production", ssh_config="/dev/null")
    assert environment.services[service.name] == service.repository
    for host in environment.hosts:
        assert resolve(service.deploy, host.variables, host.env, origin="README").ports
