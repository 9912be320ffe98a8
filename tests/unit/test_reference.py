"""docs/reference/ says exactly what relman does: every key, default, example, variable and exit code."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from relman.cli.exits import Exit
from relman.config.deploy import resolve
from relman.config.inventory.host import KNOWN
from relman.config.inventory.load import load_inventory
from relman.config.playbook import parse_playbook
from relman.config.schema.base import OPEN, keys
from relman.config.schema.playbook import PlaybookFile
from relman.config.schema.service import RelmanFile
from relman.config.service import parse_service
from relman.model.errors import ConfigError
from tests.unit import reference_pages
from tests.unit.documents import ROOT, Block, blocks, exit_table, sections, under

PAGES = {file.stem: file.read_text() for file in sorted((ROOT / "docs/reference").glob("*.md"))}
RELMAN_YML = PAGES["relman-yml"]
HEAD = "service: shop\nregistry: registry.example.com\n"
KEYS = tuple(keys(RelmanFile))
HEADINGS = ("How it is read", "Variables of the environment")
ITEMS = {"tasks": {"name": "x", "command": "x"}, "hooks": {"command": "x"}}
WITHIN = "References to services"
OWN = "Variables of your own"
TYPE = re.compile(
    r"Type: (?P<type>.+?)\.(?: (?P<required>Required)\.| Default: `(?P<default>.*)`\.| Without it: .+\.)?$"
)


def _section(key: str) -> str:
    return next(s.text for s in sections(RELMAN_YML, *range(2, 7)) if s.title == key)


def _field(key: str) -> FieldInfo:
    """The schema's field of a dotted key."""
    model: Any = RelmanFile
    field: FieldInfo | None = None
    for step in key.split("."):
        if step == "NAME":
            continue
        field = model.model_fields[step.removesuffix("[]")]
        kinds = [field.annotation, *get_args(field.annotation)]
        model = next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)
    assert field is not None
    return field


def _is_section(field: FieldInfo) -> bool:
    kinds = [field.annotation, *get_args(field.annotation)]
    several = getattr(field.annotation, "__origin__", None) in (dict, list)
    return any(isinstance(k, type) and issubclass(k, BaseModel) for k in kinds) and not several


def _with(key: str, value: Any) -> dict[str, Any]:
    """A relman.yml that has this value at a key, and what the key's section needs besides."""
    tree = yaml.safe_load(HEAD)
    at = tree
    *way, last = ["alias" if step == "NAME" else step for step in key.split(".")]
    for step in way:
        if step.endswith("[]"):
            at[step.removesuffix("[]")] = [dict(ITEMS.get(step.removesuffix("[]"), {"run": "x"}))]
            at = at[step.removesuffix("[]")][0]
            continue
        at = at.setdefault(step, {})
        if step == "alias" and "services" in way and last != "release":
            at["image"] = "x"
        if step == "library":
            at["index"] = "https://x/"
        if step == "http" and "strategy" not in way:
            at["port"] = 1
        if step == "blue_green":
            tree["deploy"]["proxy"] = {"port": 1}
        if step == "check":
            at["command"] = ["x"]
        if step == "proxy" and "check" not in way:
            at["port"] = 1
        if step == "proxy" and "check" in way:
            at["errors_below"], tree["deploy"]["proxy"] = "1%", {"port": 1}
    if way[-1:] == ["health"] and "deploy" in way:
        at["none"] = True
    at[last] = value
    return tree  # type: ignore[no-any-return]


def _value(tree: dict[str, Any], key: str) -> Any:
    found: Any = RelmanFile.model_validate(tree, context=OPEN)
    for step in key.split("."):
        found = found["alias"] if step == "NAME" else getattr(found, step.removesuffix("[]"))
        found = found[0] if step.endswith("[]") else found
    return found


def test_every_key_has_its_section_and_no_section_is_of_an_unknown_key() -> None:
    """The reference and the schema name the same keys, in the same order."""
    titles = [s.title for s in sections(RELMAN_YML, *range(2, 7))]
    assert [t for t in titles if t != WITHIN] == [*HEADINGS, *KEYS]


@pytest.mark.parametrize("key", KEYS)
def test_what_is_said_of_a_key_is_what_the_schema_does(key: str) -> None:
    """Required, optional or with this very default; then what it means."""
    first, _, rest = _section(key).partition("\n")
    said, field = TYPE.fullmatch(first), _field(key)
    assert said, first
    assert (said["type"] == "section") is _is_section(field)
    assert bool(said["required"]) is field.is_required()
    if said["default"] is not None:
        value = yaml.safe_load(said["default"])
        assert _value(_with(key, value), key) == field.default
    else:
        assert field.is_required() or _is_section(field) or field.default in (None, False)
    assert len(rest.strip()) > 20


def test_every_key_is_shown_in_an_example() -> None:
    """A reader finds each key used at least once, in a file that is good."""
    shown = {key for block in blocks(RELMAN_YML) if block.info == "yaml" for key in _used(yaml.safe_load(block.text))}
    assert set(KEYS) - shown == set()


def _used(tree: Any, path: tuple[str, ...] = ()) -> set[str]:
    if isinstance(tree, list) and path:
        return {key for item in tree for key in _used(item, (*path[:-1], f"{path[-1]}[]"))}
    if not isinstance(tree, dict):
        return set()
    found: set[str] = set()
    for name, value in tree.items():
        named = (("test", "services"), ("build", "secrets"), ("deploy", "secrets"), ("deploy", "processes"))
        step = "NAME" if path in named else name
        found |= {".".join((*path, step))} | _used(value, (*path, step))
    return found


def _of_kind(info: str) -> list[Block]:
    found = ((page, b) for page, text in PAGES.items() for b in blocks(text) if b.info == info)
    return [pytest.param(b, id=f"{page} line {b.line}") for page, b in found]  # type: ignore[misc]


def _loaded(block: Block) -> None:
    text = block.text if re.search("^service:", block.text, re.MULTILINE) else HEAD + block.text
    service = parse_service(text.encode(), "relman.yml")
    variables = {"database_host": "db.example.com", "inventory_hostname": "web1"}
    files = {posixpath.normpath(name): b"" for name in service.deploy.get("files", {})}
    resolve(service.deploy, variables, {}, origin="the example", files=files)


@pytest.mark.parametrize("block", _of_kind("yaml"))
def test_an_example_is_good(block: Block) -> None:
    """Each example of a relman.yml, or of a part of one, loads, and its deploy section has a meaning on a host."""
    _loaded(block)


@pytest.mark.parametrize("block", _of_kind("yaml inventory"))
def test_an_example_of_an_inventory_is_good(block: Block, tmp_path: Path) -> None:
    """Each environment of an example inventory is understood."""
    file = tmp_path / "inventory.yml"
    file.write_text(block.text)
    found = load_inventory([file])
    assert found.deployable
    for name in found.deployable:
        assert found.environment(name, ssh_config="/dev/null").hosts


def _after(block: Block) -> str:
    """The text block that follows a wrong example: what relman says of it."""
    listed = next(found for text in PAGES.values() if block in (found := blocks(text)))
    following = listed[listed.index(block) + 1]
    assert following.info == "text", f"the wrong example of line {block.line} is not followed by what is said of it"
    return following.text


@pytest.mark.parametrize("block", _of_kind("yaml wrong"))
def test_a_wrong_example_is_refused_in_the_words_that_are_shown(block: Block) -> None:
    """Where the reference shows a mistake, relman finds it, and says just that."""
    with pytest.raises(ConfigError) as caught:
        _loaded(block)
    assert "\n".join(caught.value.details) + "\n" == _after(block)


@pytest.mark.parametrize("block", _of_kind("yaml inventory wrong"))
def test_a_wrong_inventory_is_refused_in_the_words_that_are_shown(block: Block, tmp_path: Path) -> None:
    """The same for inventories."""
    file = tmp_path / "inventory.yml"
    file.write_text(block.text)
    with pytest.raises(ConfigError) as caught:
        load_inventory([file]).environment("production", ssh_config="/dev/null")
    assert "\n".join(caught.value.details).replace(f"{tmp_path}/", "") + "\n" == _after(block)


@pytest.mark.parametrize("block", _of_kind("yaml playbook"))
def test_an_example_of_a_playbook_is_good(block: Block) -> None:
    """It is understood, and between them the examples have every key."""
    assert parse_playbook(block.text.encode(), "playbook.yml").stages
    for key in keys(PlaybookFile):
        word = key.rpartition(".")[2].removesuffix("[]")
        assert re.search(rf"\b{word}\b", PAGES["playbooks"]), key


@pytest.mark.parametrize("block", _of_kind("yaml playbook wrong"))
def test_a_wrong_playbook_is_refused_in_the_words_that_are_shown(block: Block) -> None:
    """The same for playbooks."""
    with pytest.raises(ConfigError) as caught:
        parse_playbook(block.text.encode(), "playbook.yml")
    assert "\n".join(caught.value.details) + "\n" == _after(block)


def test_every_fenced_block_is_of_a_known_kind() -> None:
    """No example escapes the tests by a misspelt mark."""
    kinds = [kind for name in ("yaml", "yaml inventory", "yaml playbook") for kind in (name, f"{name} wrong")]
    assert {b.info for text in PAGES.values() for b in blocks(text)} == {*kinds, "text"}


def test_every_variable_of_an_inventory_is_explained_and_shown() -> None:
    """The variables that relman reads are those that the reference explains; each is set in the example."""
    text = PAGES["inventories"]
    assert sorted(s.title for s in sections(text, 2)) == sorted([*KNOWN, OWN])
    example = next(b.text for b in blocks(text) if b.info == "yaml inventory")
    alias = "ansible_private_key_file"
    assert [name for name in KNOWN if f"{name}:" not in example and name != alias] == []


def test_every_environment_variable_is_explained() -> None:
    """The RELMAN_ variables in the code are those in the table."""
    code = "\n".join(file.read_text() for file in (ROOT / "relman").rglob("*.py"))
    table = under(PAGES["environment"], "Environment variables")
    assert set(re.findall(r"RELMAN_[A-Z_]+[A-Z]", table)) == set(re.findall(r"RELMAN_[A-Z_]+[A-Z]", code))
    systems = "\n".join(file.read_text() for file in (ROOT / "relman/config/ci_systems").glob("*.py"))
    assert set(re.findall(r'"\{?([A-Z]+_[A-Z_]+)', systems)) <= set(re.findall(r"`([A-Z_]+)`", table))


def test_the_exit_codes_are_the_command_line_s() -> None:
    """Each code with its name, and none besides."""
    assert exit_table(PAGES["exit-codes"]) == {int(code): code.name for code in Exit}


def test_every_kind_of_document_is_listed() -> None:
    """A program can look up each kind of JSON document that any command prints."""
    files = [file for layer in ("app", "cli") for file in (ROOT / "relman" / layer).rglob("*.py")]
    code = "\n".join(file.read_text() for file in files)
    rows = re.findall(r"^\| (`.+?`) \|", PAGES["json"], re.MULTILINE)
    listed = {kind.strip("`") for row in rows for kind in row.split(", ")}
    assert listed == set(re.findall(r'\.json\(\s*"([a-z-]+)"', code))


def test_the_pages_are_as_they_are_made() -> None:
    """The page of commands is what click knows of them, and each page's contents are its headings: `make docs`."""
    assert reference_pages.COMMANDS.read_text() == reference_pages.commands()
    for name, text in PAGES.items():
        assert reference_pages.with_contents(text) == text, name
