"""What `relman init` and `relman check` say of an ENTRYPOINT that might swallow the tests, from the checkout alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from relman.ci.dockerfile import copies, entrypoint_of
from tests.unit.cli import relman

GREET = """FROM registry.example.com/golang:1.19 AS build
WORKDIR /src
COPY go.mod *.go ./
RUN go build -o /greet .
FROM registry.example.com/debian:12
COPY --from=build /greet /greet
ENTRYPOINT ["/greet"]
"""


def checked(root: Path, dockerfile: str, test: str = "commands: [[go, test]]") -> str:
    """What `relman check` says on stderr of a good service."""
    (root / "Dockerfile").write_text(dockerfile)
    (root / "relman.yml").write_text(f"service: greet\nregistry: registry.example.com\ntest: {{{test}}}\n")
    said = relman("check", cwd=root)
    assert said.returncode == 0, said.stderr
    return said.stderr


def test_a_new_project_with_an_entrypoint(tmp_path: Path) -> None:
    """init writes that the tests run without the ENTRYPOINT and says why; check has nothing to add. Without the line
    check warns, names the command, and says what to write and how it ends otherwise."""
    (tmp_path / "Dockerfile").write_text(GREET)
    (tmp_path / "go.mod").touch()
    assert relman("init", cwd=tmp_path).returncode == 0
    text = (tmp_path / "relman.yml").read_text()
    assert yaml.safe_load(text)["test"] == {"entrypoint": [], "commands": [["go", "test", "./..."]]}
    assert '# The image\'s ENTRYPOINT, ["/greet"], may not start the commands below.' in text
    assert relman("check", cwd=tmp_path).stderr == ""
    (tmp_path / "relman.yml").write_text("".join(x for x in text.splitlines(True) if "entrypoint:" not in x))
    said = relman("check", cwd=tmp_path)
    assert said.returncode == 0
    for part in ("go test ./...", 'ENTRYPOINT ["/greet"]', "exit code 9", "entrypoint: [], image"):
        assert part in said.stderr


@pytest.mark.parametrize(
    "test",
    [
        "commands: [[go, test]], entrypoint: image",
        "commands: [[go, test]], entrypoint: []",
        "commands: [[go, test]], entrypoint: [tini, --]",
        "commands: [{run: [go, test], junit: out.xml}]",
        "commands: []",
    ],
)
def test_who_has_said_it_is_not_warned(test: str, tmp_path: Path) -> None:
    """Where relman.yml says what happens, or result files will show it, check is silent."""
    assert checked(tmp_path, GREET, test) == ""


@pytest.mark.parametrize(
    ("dockerfile", "warned"),
    [
        ("FROM x\nENTRYPOINT python app.py\n", True),
        ('FROM x AS a\nENTRYPOINT ["/greet"]\nFROM a\n', True),
        ('FROM x AS a\nENTRYPOINT ["/greet"]\nFROM a\nENTRYPOINT []\n', False),
        ('FROM x AS a\nENTRYPOINT ["/greet"]\nFROM x\n', False),
        ('FROM x\nCMD ["/greet"]\n', False),
        ('FROM x\nENTRYPOINT ["tini", "--"]\nCMD ["/greet"]\n', False),
        ('FROM x\nCOPY . /app\nENTRYPOINT ["/app/good.sh"]\n', False),
        ('FROM x\nCOPY . /app\nENTRYPOINT ["/app/bad.sh"]\n', True),
        ('FROM x\nCOPY --chmod=755 deploy/good.sh /run\nENTRYPOINT ["tini", "/run"]\n', False),
        ('FROM x\nCOPY deploy/bad.sh /good.sh\nENTRYPOINT ["/good.sh"]\n', True),
        ('FROM x\nENTRYPOINT ["docker-entrypoint.sh"]\n', True),
    ],
)
def test_what_a_dockerfile_shows(dockerfile: str, warned: bool, tmp_path: Path) -> None:
    """The last stage's ENTRYPOINT counts, also one from a stage below; scripts are found in the checkout by what they
    are copied as, else by name; what only the base image has is not seen here."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/good.sh").write_text('#!/bin/sh\nexec "$@"\n')
    (tmp_path / "deploy/bad.sh").write_text("#!/bin/sh\nexec serve\n")
    assert bool(checked(tmp_path, dockerfile)) is warned


def test_a_target_of_the_build() -> None:
    """The stage that is the image is the one whose ENTRYPOINT counts."""
    text = 'FROM x AS one\nENTRYPOINT ["/one"]\nFROM one AS Two\nENTRYPOINT two\nFROM x\n'
    assert entrypoint_of(text, "one") == ("/one",)
    assert entrypoint_of(text, "two") == ("/bin/sh", "-c", "two")
    assert entrypoint_of(text) == ()
    assert copies("FROM x\nCOPY --chown=a a.sh /b.sh\nCOPY --from=y /c /d\nADD e f g/\n") == {"/b.sh": "a.sh"}


BARE = GREET.replace("FROM registry.example.com/debian:12", "FROM gcr.io/distroless/static-debian12")


def test_an_image_without_a_shell(tmp_path: Path) -> None:
    """init has its tests run in the stage that it was made in, after a smoke test, and check has nothing to add; of
    commands in the image itself check says what else to write, and a stage that is not there is a problem."""
    (tmp_path / "Dockerfile").write_text(BARE)
    assert relman("init", cwd=tmp_path).returncode == 0
    assert yaml.safe_load((tmp_path / "relman.yml").read_text())["test"] == {"smoke": True, "commands": []}
    (tmp_path / "relman.yml").unlink()
    (tmp_path / "go.mod").touch()
    assert relman("init", cwd=tmp_path).returncode == 0
    assert yaml.safe_load((tmp_path / "relman.yml").read_text())["test"] == {
        "smoke": True,
        "entrypoint": [],
        "commands": [{"stage": "build", "run": ["go", "test", "./..."]}],
    }
    assert relman("check", cwd=tmp_path).stderr == ""
    assert "`stage`" in checked(tmp_path, BARE)
    (tmp_path / "relman.yml").write_text(
        "service: greet\nregistry: registry.example.com\ntest: {commands: [{run: [go], stage: built}]}\n"
    )
    said = relman("check", cwd=tmp_path)
    assert (said.returncode, "test.commands[0].stage" in said.stderr) == (2, True)


@pytest.mark.parametrize(
    ("test", "fault"),
    [
        ("commands: [{run: x, image: a/b, stage: c}]", "give one of image, stage"),
        ("commands: [{run: x, stage: 'a b'}]", "the name of a stage"),
        ("smoke: true, commands: [{run: x, name: smoke}]", "another command has this name"),
        ("smoke: true, services: {app: {image: a/b}}", "the name of the image under test"),
        ("app: false, smoke: true, commands: [x]", "a smoke test starts the image"),
        ("app: false, commands: [{run: x, stage: build}]", "nothing would run in the image under test"),
    ],
)
def test_what_no_test_can_be(test: str, fault: str, tmp_path: Path) -> None:
    """Two places for one command, a name that no stage has, a service that takes the image's name, and an image that no
    command runs in are refused."""
    (tmp_path / "Dockerfile").write_text(BARE)
    (tmp_path / "relman.yml").write_text(f"service: greet\nregistry: registry.example.com\ntest: {{{test}}}\n")
    said = relman("check", cwd=tmp_path)
    assert (said.returncode, fault in said.stderr) == (2, True), said.stderr
