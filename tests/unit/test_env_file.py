"""Files of variables: read as compose reads them, frozen into the image, and from nowhere but the repository."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.config.check import check_settings
from relman.config.deploy import freeze
from relman.config.env_file import deploy_section, read_env_file
from relman.config.service import check_service, load_service
from relman.model.errors import ConfigError

BELOW = "expected a path below the directory of relman.yml, and not in .git, found "
HEAD = "service: shop\nregistry: localhost:5000\nbuild: {context: .}\n"


def repository(root: Path, deploy: str, **files: bytes) -> Path:
    """A repository whose relman.yml ends with this deploy section, and files by their names."""
    (root / "relman.yml").write_text(f"{HEAD}deploy: {deploy}\n")
    (root / "Dockerfile").write_text("FROM scratch\n")
    for name, content in files.items():
        (root / name).write_bytes(content)
    return root


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b c", "b c"),
        ("export A = b", "b"),
        ("A=", ""),
        ("A=  # nothing", ""),
        ("A=b#c # d", "b#c"),
        ("A='b $c \\n # d' # e", "b $c \\n # d"),
        ('A="b\\n\\"c\\" \\$d"', 'b\n"c" $d'),
        ("A='one\ntwo'", "one\ntwo"),
        ("A=it's", "it's"),
        ("A=b=c\r\n", "b=c"),
        ("A=${name:-x}", "${name:-x}"),
        ("A=1\nA=2", "2"),
    ],
)
def test_a_line(line: str, value: str, tmp_path: Path) -> None:
    """By compose's rules, between comments and empty lines."""
    (tmp_path / "x.env").write_bytes(f"# first\n\n  {line}\n  \n#last".encode())
    assert read_env_file(str(tmp_path), "x.env") == {"A": value}


@given(st.dictionaries(st.from_regex("[A-Z_]{1,5}", fullmatch=True), st.text().filter(lambda t: "'" not in t)))
def test_any_text_in_quotes_is_itself(variables: dict[str, str]) -> None:
    """Between single quotes nothing has another meaning, line feeds and signs included."""
    import tempfile

    with tempfile.TemporaryDirectory() as root:
        text = "\n".join(f"{name}='{value}'" for name, value in variables.items())
        Path(root, "x.env").write_bytes(text.encode())
        assert read_env_file(root, "x.env") == variables


@pytest.mark.parametrize("line", ["A", "=b", "A='b", 'A="b" c', "a b=c"])
def test_what_is_no_variable_is_refused_with_its_line(line: str, tmp_path: Path) -> None:
    """Compose takes `A` alone from its own environment; a build has none to give."""
    root = repository(tmp_path, "{env_file: x.env}", **{"x.env": f"B=1\n\n{line}\n".encode()})
    with pytest.raises(ConfigError) as caught:
        freeze(load_service(root))
    assert caught.value.details == ("x.env:3:1: expected NAME=VALUE",)
    assert check_settings(load_service(root), "relman.yml", []) == ({}, list(caught.value.problems))


def test_they_are_frozen_and_env_wins(tmp_path: Path) -> None:
    """The label has what they say, not that they were; the last file and `env` win; variables are filled in later."""
    deploy = "{env_file: [a.env, b.env], env: {C: 3}, user: app}"
    root = repository(tmp_path, deploy, **{"a.env": b"A=1\nB=1\nC=1", "b.env": b"B=${two}\n"})
    frozen = json.loads(freeze(load_service(root)))
    assert frozen == {"env": {"A": "1", "B": "${two}", "C": 3}, "user": "app"}
    assert deploy_section(load_service(repository(tmp_path, "{user: app}"))) == {"user": "app"}


def test_only_files_of_the_repository_are_read(tmp_path: Path) -> None:
    """A branch may write anything into relman.yml: no path, and no link, takes what lies beside the checkout into an
    image. Each is refused at its place, by `relman check` and by a build."""
    (tmp_path / "secret.env").write_text("PASSWORD=x")
    root = tmp_path / "repository"
    (root / "below").mkdir(parents=True)
    (root / "link.env").symlink_to("../secret.env")
    (root / "up").symlink_to("..")
    (root / "large.env").write_bytes(b"A=" + b"x" * (64 << 10))
    wrong = {
        "../secret.env": f"{BELOW}../secret.env",
        f"{tmp_path}/secret.env": f"{BELOW}{tmp_path}/secret.env",
        ".git/config": f"{BELOW}.git/config",
        "link.env": "link.env is a link, or below one: what is read must be in the repository itself",
        "up/secret.env": "up/secret.env is a link, or below one: what is read must be in the repository itself",
        "below": "there is no file below",
        "large.env": "large.env is larger than 64 KiB",
    }
    repository(root, json.dumps({"env_file": list(wrong)}))
    assert [(p.key, p.message) for p in check_service(root)] == [
        (f"deploy.env_file[{number}]", said) for number, said in enumerate(wrong.values())
    ]
    for file, said in wrong.items():
        repository(root, json.dumps({"env_file": file}))
        with pytest.raises(ConfigError, match="1 problem") as caught:
            freeze(load_service(root))
        assert caught.value.problems[0].message == said
