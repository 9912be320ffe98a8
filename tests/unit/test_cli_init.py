"""relman init, relman schema, and the completion of shells."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from relman.ci.dockerfile import entrypoint_of
from relman.ci.scaffold import Look, declared, first_file
from relman.config.schema.json_schema import KINDS, json_schema
from relman.config.service import parse_service
from tests.apps.bases import APPS
from tests.unit.cli import relman
from tests.unit.documents import ROOT, blocks

REFERENCE = "\n".join(file.read_text() for file in sorted((ROOT / "docs/reference").glob("*.md")))


def test_a_first_file_is_good_and_says_what_the_repository_shows(tmp_path: Path) -> None:
    """Ports, volumes and health of the last stage, the tests of its language; `relman check` finds nothing, and a
    second time nothing is overwritten."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_a.py").touch()
    (tmp_path / "Dockerfile").write_text(
        'FROM x AS first\nEXPOSE 9\nFROM x\nEXPOSE 9000 8080/tcp 53/udp $PORT\nVOLUME ["/data", "/var/lib/x"]\n'
    )
    printed = relman("init", "--print", cwd=tmp_path).stdout
    assert not (tmp_path / "relman.yml").exists()
    relman("init", "--registry", "registry.example.com:5000", cwd=tmp_path)
    written = (tmp_path / "relman.yml").read_text()
    assert written.replace(":5000", "") == printed
    found = yaml.safe_load(written)
    assert found["test"]["commands"] == [["python3", "-m", "pytest", "-q", "tests"]]
    assert found["deploy"]["ports"] == ["8080:8080", "9000:9000"]
    assert [volume.partition(":")[2] for volume in found["deploy"]["volumes"]] == ["/data", "/var/lib/x"]
    assert found["deploy"]["health"] == {"tcp": {"port": 8080}}
    assert relman("check", cwd=tmp_path).returncode == 0
    again = relman("init", cwd=tmp_path)
    assert (again.returncode, (tmp_path / "relman.yml").read_text()) == (2, written)
    assert "never overwrites" in again.stderr


@pytest.mark.parametrize("name", ["shop", "database-schema", "money"])
def test_the_samples_get_a_good_file(name: str, tmp_path: Path) -> None:
    """What init writes for a real application passes the check."""
    root = tmp_path / name
    shutil.copytree(APPS / name, root, ignore=shutil.ignore_patterns("relman.yml", "__pycache__"))
    assert relman("init", cwd=root).returncode == 0
    assert relman("check", cwd=root).returncode == 0
    health = yaml.safe_load((root / "relman.yml").read_text())["deploy"]["health"]
    assert health == ({"none": True} if name == "money" else {"image": True})


@pytest.mark.parametrize(
    ("file", "content", "command"),
    [
        ("package.json", '{"scripts": {"test": "jest"}}', ["npm", "test"]),
        ("package.json", "{", []),
        ("go.mod", "", ["go", "test", "./..."]),
        ("Makefile", "all:\n\ntest: all\n", ["make", "test"]),
        ("notes.txt", "", []),
    ],
)
def test_other_languages(file: str, content: str, command: list[str], tmp_path: Path) -> None:
    """Each kind of project by its own file; where there is none the file says that tests are missing, and is good."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/Dockerfile").write_text("FROM x\n")
    (tmp_path / file).write_text(content)
    found = yaml.safe_load(relman("init", "--print", cwd=tmp_path).stdout)
    assert found["test"]["commands"] == ([command] if command else [])
    assert found["build"] == {"dockerfile": "deploy/Dockerfile"}


def test_without_a_dockerfile_there_is_nothing_to_write(tmp_path: Path) -> None:
    """The error says what is missing."""
    said = relman("init", cwd=tmp_path)
    assert (said.returncode, list(tmp_path.iterdir())) == (2, [])
    assert "no Dockerfile" in said.stderr


@given(
    st.text(alphabet="FROMEXPSVLUHTCK 0123456789/tcpud[]\"',\\\n#$<-", max_size=80)
    | st.text(max_size=20).map('FROM x\nENTRYPOINT ["{}"]'.format)
)
def test_any_dockerfile_gives_a_good_file(text: str) -> None:
    """Whatever the instructions hold, the file is one that relman reads."""
    found = Look("a-1", "Dockerfile", *declared(text), entrypoint=entrypoint_of(text))
    parse_service(first_file(found, "localhost").encode(), "relman.yml")


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_in_the_documents_is_the_program_s(kind: str) -> None:
    """Editors are told what this very relman reads."""
    kept = json.loads((ROOT / f"docs/{kind}.schema.json").read_text())
    assert kept == json_schema(kind) == json.loads(relman("schema", kind).stdout)


def wrong(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> str:
    """Where the value is not as the schema says, by the keywords that are used here; empty where it is."""
    if "$ref" in schema:
        return wrong(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if options := schema.get("anyOf"):
        return "" if any(not wrong(value, option, root) for option in options) else f"{value!r} fits nothing"
    if "enum" in schema or "const" in schema:
        return "" if value in schema.get("enum", [schema.get("const")]) else f"{value!r}"
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    types: dict[str, Any] = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "array": list,
        "object": dict,
    }
    if kinds and not any(value is None if kind == "null" else isinstance(value, types[kind]) for kind in kinds):
        return f"{value!r} is no {kinds}"
    if isinstance(value, list):
        return next((found for item in value if (found := wrong(item, schema.get("items", {}), root))), "")
    if isinstance(value, dict):
        return _wrong_mapping(value, schema, root)
    return ""


def _wrong_mapping(value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any]) -> str:
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    missing = set(schema.get("required", ())) - set(value)
    unknown = set() if others is not False else set(value) - set(known)
    if missing or unknown:
        return f"missing {missing}, unknown {unknown}"
    rest = others if isinstance(others, dict) else {}
    return next((found for key, item in value.items() if (found := wrong(item, known.get(key, rest), root))), "")


@pytest.mark.parametrize(("info", "kind"), [("yaml", "relman"), ("yaml playbook", "playbook")])
def test_an_editor_takes_every_example(info: str, kind: str) -> None:
    """What relman reads is not marked as wrong."""
    schema = json_schema(kind)
    head = {"service": "x", "registry": "r"} if kind == "relman" else {}
    examples = [b for b in blocks(REFERENCE) if b.info == info]
    assert examples
    for block in examples:
        assert wrong({**head, **yaml.safe_load(block.text)}, schema, schema) == "", f"line {block.line}"


def test_an_editor_marks_what_is_wrong() -> None:
    """An unknown key, a missing one, and a list where there is none."""
    schema = json_schema("relman")
    for text in ("service: x", "service: x\nregistry: r\nregistri: y", "service: [x]\nregistry: r", "- service"):
        assert wrong(yaml.safe_load(text), schema, schema) != ""


@pytest.mark.parametrize(
    ("words", "expected"),
    [("relman de", ["deploy"]), ("relman deploy --max", ["--max-unavailable"]), ("relman dploy --x", [])],
)
def test_a_shell_completes(words: str, expected: list[str]) -> None:
    """Commands, and the options of a command that is imported only then."""
    env = {"_RELMAN_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = relman(env=env)
    assert [line.partition(",")[2] for line in done.stdout.split()] == expected
    assert done.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_how(shell: str) -> None:
    """The documented line has something to evaluate."""
    assert "_RELMAN_COMPLETE" in REFERENCE
    assert re.search("complet", relman(env={"_RELMAN_COMPLETE": f"{shell}_source"}).stdout)
