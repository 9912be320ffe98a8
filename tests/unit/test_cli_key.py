"""relman key, as its user types it: files, passphrases, trust.yml, and nothing secret on the screen."""

from __future__ import annotations

import json
import os
import pty
import select
import stat
import subprocess
from pathlib import Path

import pytest

from relman.config.trust import load_trust
from relman.evidence.keys import SigningKey
from relman.model.predicates import RELEASE, TEST_RESULT
from tests.unit.cli import argv, environ, relman

SECRET = "correct horse battery"
ENV = {"RELMAN_KEY_PASSPHRASE": SECRET}
NEW = ("key", "new", "ci", "--out", "ci.key", "--repository", "registry.example/*")


def test_a_new_key_is_encrypted_and_trusted(tmp_path: Path) -> None:
    """The private half is in a file of the owner's alone, encrypted; the public half beside it and in trust.yml, which
    says what it may sign; the passphrase is nowhere."""
    done = relman(*NEW, cwd=tmp_path, env=ENV)
    assert done.returncode == 0, done.stderr
    private = tmp_path / "ci.key"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in private.read_bytes()
    public = (tmp_path / "ci.key.pub").read_text()
    trusted = load_trust(tmp_path / "trust.yml").keys["ci"]
    assert trusted.public.decode() == public
    assert trusted.start is not None
    assert [(set(g.types), g.repositories) for g in trusted.grants] == [
        ({TEST_RESULT, RELEASE}, ("registry.example/*",))
    ]
    assert public in done.stdout
    written = "".join(f.read_text() for f in tmp_path.iterdir())
    assert SECRET not in done.stdout + done.stderr + written
    assert SigningKey.load(private.read_bytes(), "key", lambda: SECRET).public.pem.decode() == public


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A second key under the same file's name is refused, and the first stays what it is."""
    relman(*NEW, cwd=tmp_path, env=ENV)
    before = {f.name: f.read_bytes() for f in tmp_path.iterdir()}
    done = relman("key", "new", "other", "--out", "ci.key", cwd=tmp_path, env=ENV)
    assert (done.returncode, "already exists" in done.stderr) == (2, True)
    again = relman("key", "new", "ci", "--out", "other.key", "--repository", "*", cwd=tmp_path, env=ENV)
    assert (again.returncode, "already has a key 'ci'" in again.stderr) == (2, True)
    assert {f.name: f.read_bytes() for f in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("line", "env", "said"),
    [
        (NEW, {}, "needs a passphrase"),
        (NEW, {"RELMAN_KEY_PASSPHRASE": "short"}, "at least 8 characters"),
        ((*NEW, "--type", "tests"), ENV, "not a type of statement"),
        (("key", "new", "ci", "--out", "k", "--type", "release"), ENV, "--type needs --repository"),
        (("key", "new", "ci", "--out", "/nowhere/k"), ENV, "cannot write /nowhere/k"),
        (("key", "rotate", "ci", "new", "--out", "k"), ENV, "cannot read trust.yml"),
        (("key", "revoke", "ci", "--reason", "x"), ENV, "cannot read trust.yml"),
        (("key", "revoke", "ci"), ENV, "--reason"),
        (("key", "revoke", "ci", "--reason", "x", "--accept", "sha256:1"), ENV, "is not a sha256 digest"),
        (("key", "sign"), ENV, "relman key --help"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, line: tuple[str, ...], env: dict[str, str], said: str) -> None:
    """Each mistake is a usage error in words, and leaves no file."""
    done = relman(*line, cwd=tmp_path, env=env)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*"))


def test_rotation_and_revocation(tmp_path: Path) -> None:
    """A rotation ends the old key and lets the new one sign the same; a revocation says why; show tells all of it, for
    programs too."""
    relman(*NEW, cwd=tmp_path, env=ENV)
    assert (
        relman("key", "rotate", "ci", "ci-2", "--out", "ci-2.key", "--overlap", "24", cwd=tmp_path, env=ENV).returncode
        == 0
    )
    revoked = relman("key", "revoke", "ci", "--reason", "a laptop: stolen", cwd=tmp_path)
    assert revoked.returncode == 0, revoked.stderr
    keys = load_trust(tmp_path / "trust.yml").keys
    assert keys["ci-2"].grants == keys["ci"].grants
    assert keys["ci"].end is not None
    assert keys["ci-2"].start is not None
    assert (keys["ci"].end - keys["ci-2"].start).total_seconds() == 86400
    assert keys["ci"].revoked is not None
    shown = relman("--json", "key", "show", cwd=tmp_path)
    data = {key["name"]: key for key in json.loads(shown.stdout)["keys"]}
    assert data["ci"]["revoked"] == "a laptop: stolen"
    assert "revoked" in relman("key", "show", cwd=tmp_path).stdout
    one = json.loads(relman("key", "show", "ci.key", "--json", cwd=tmp_path, env=ENV).stdout)
    assert one["id"] == data["ci"]["id"]
    assert relman("key", "rotate", "ci", "ci-3", "--out", "ci-3.key", cwd=tmp_path, env=ENV).returncode == 2
    assert not (tmp_path / "ci-3.key").exists()


def test_a_wrong_passphrase_is_access_denied(tmp_path: Path) -> None:
    """It is told apart from a broken file, and neither passphrase is shown."""
    relman(*NEW, cwd=tmp_path, env=ENV)
    done = relman("key", "show", "ci.key", cwd=tmp_path, env={"RELMAN_KEY_PASSPHRASE": "wrong-passphrase"})
    assert (done.returncode, "does not open" in done.stderr) == (4, True)
    assert "wrong-passphrase" not in done.stderr + done.stdout
    nothing = relman("key", "show", "ci.key", cwd=tmp_path)
    assert (nothing.returncode, "there is no passphrase" in nothing.stderr) == (4, True)


def test_the_passphrase_is_asked_for_at_a_terminal(tmp_path: Path) -> None:
    """It is asked for twice, never shown, and opens the key."""
    master, slave = pty.openpty()
    process = subprocess.Popen(argv(*NEW), env=environ(), cwd=tmp_path, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    seen = b""
    for _ in range(2):
        seen = _until(master, seen, b": ")
        os.write(master, SECRET.encode() + b"\n")
    while part := _read(master):
        seen += part
    assert process.wait(30) == 0, seen
    assert SECRET.encode() not in seen
    SigningKey.load((tmp_path / "ci.key").read_bytes(), "key", lambda: SECRET)


def _until(terminal: int, seen: bytes, mark: bytes) -> bytes:
    start = len(seen)
    while mark not in seen[start:]:
        part = _read(terminal)
        assert part, seen
        seen += part
    return seen


def _read(terminal: int) -> bytes:
    if not select.select([terminal], [], [], 30)[0]:
        return b""
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""
