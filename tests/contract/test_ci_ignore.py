"""What the classic builder is sent, held against what docker's own client sends it."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from relman.ci.build.classic_builder import build_context
from relman.model.errors import BuildFailed
from tests.contract.shop import Shop
from tests.lab.lab import Lab

FILES = (
    "a.txt", "A.TXT", "b.md", "keep.md", "x/a.txt", "x/y/a.txt", "x/y/z.log", "x/keep.log", "q/[1]", "q/1", "q/2",
    "q/^", "star/*", "star/ab", "sp ace",
    "node/m/a.js", "node/m/keep.js", "deep/1/2/3/t.tmp", "deep/1/t.tmp", "t.tmp", "#no",
    "!bang", "é/ü", "dot/.hidden", ".env", "r/a", "r/c", "r/-", "one/two/three", "$d", "p+q", "(x)", "e.e", "eee",
)  # fmt: skip
SHAPES = (
    b"\xef\xbb\xbfa.txt\n#sp ace\n  b.md  \n\\#no\n\n!keep.md\n",
    b"A.TXT\n/x/\n!x/keep.log\nq/[1]\nstar/\\*\n",
    b"*\n!x/y\n!keep.md\nx/y/z.log\n",
    b"**/*.tmp\n!deep/1/t.tmp\n**/a.txt\nnode\n!node/m/keep.js\n",
    b"q/\\[1\\]\nr/[^a-b]\n?.txt\ndot/.*\n.env\n\\!bang\n",
    b"deep/**/t.tmp\none/**\n!one/two/three\n\xc3\xa9\n$d\np+q\n(x)\ne.e\n",
    b"x/../node\n./q//1\n.\n..\n!.\n**/y\n",
    b"Dockerfile\n.dockerignore\nr/[a\\-c]\nq/[\\^1]\n",
    b"*/*/a.*\r\n! keep.md\r\n**/m/**\r\n",
    b"**\n!**/*.md\n!r/?\n!e*\n",
)


@pytest.fixture
def tree(shop: Shop) -> Path:
    """A build context of many names."""
    for name in FILES:
        (shop.root / name).parent.mkdir(parents=True, exist_ok=True)
        (shop.root / name).write_text(name)
    (shop.root / "busybox").unlink()
    (shop.root / "env.sh").unlink()
    (shop.root / "Dockerfile").write_text("FROM scratch\nCOPY . /context/\n")
    return shop.root


@pytest.mark.parametrize("shape", SHAPES)
def test_dockerignore_is_read_as_docker_reads_it(shape: bytes, tree: Path, shop: Shop, lab: Lab) -> None:
    """The files of a context that relman sends are those that the classic builder of docker has in the image."""
    (tree / ".dockerignore").write_bytes(shape)
    built = subprocess.run(
        ["docker", "build", "-q", str(tree)],
        env=os.environ | {"DOCKER_HOST": lab.env["DOCKER_HOST"], "DOCKER_BUILDKIT": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    container = shop.client.create_container(built.stdout.split()[-1], ["x"])["Id"]
    exported = io.BytesIO(b"".join(shop.client.get_archive(container, "/context")[0]))
    with tarfile.open(fileobj=exported) as image:
        theirs = {m.name.removeprefix("context/") for m in image if m.isfile()}
    with build_context(tree, "Dockerfile") as packed, tarfile.open(fileobj=packed) as context:
        ours = {m.name for m in context if m.isfile()}
    always = {"Dockerfile", ".dockerignore"}  # the engine takes them away again where they are ignored
    assert theirs
    assert ours - always == theirs - always
    assert always <= ours


@pytest.mark.parametrize("wrong", [b"ok\n[a\n", b"x\n!\n", b"\n[]\n", b"\n[a-]\n", b"\na\\\n"])
def test_a_pattern_that_is_none(wrong: bytes, tree: Path, lab: Lab) -> None:
    """What docker's client refuses is refused, with its line."""
    (tree / ".dockerignore").write_bytes(wrong)
    env = os.environ | {"DOCKER_HOST": lab.env["DOCKER_HOST"], "DOCKER_BUILDKIT": "0"}
    assert subprocess.run(["docker", "build", "-q", str(tree)], env=env, capture_output=True, check=False).returncode
    with pytest.raises(BuildFailed, match=r"\.dockerignore:2: "):
        build_context(tree, "Dockerfile")
