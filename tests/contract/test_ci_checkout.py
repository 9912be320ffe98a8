"""A checkout that belongs to another user than the one who runs relman, as in many CI containers; real git."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from relman.ci.run.run_name import commit_of, distrustful
from relman.model.run import Commit

GITHUB = {"GITHUB_REPOSITORY": "team/shop", "GITHUB_WORKFLOW": "Release it", "GITHUB_RUN_NUMBER": "7"}


def test_a_checkout_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where git does not read it that is said with its remedy, which works, and until then the CI's own variable names
    the commit, whose changes are not known."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.delenv("SUDO_UID", raising=False)
    root = tmp_path / "checkout"
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    subprocess.run(["git", "init", "-q", root], check=True)
    subprocess.run(["git", "-C", root, *identity, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    assert distrustful(root) == ""
    real = commit_of(root, {})
    os.chown(root, 12345, 12345)
    os.chown(root / ".git", 12345, 12345)
    said = distrustful(root)
    assert commit_of(root, GITHUB | {"GITHUB_SHA": real.revision, "GITHUB_REF_NAME": "main"}) == Commit(
        real.revision, "main", dirty=True
    )
    assert commit_of(root, {}) == Commit()
    subprocess.run(said.partition("type: ")[2].split(), check=True)
    assert (distrustful(root), commit_of(root, {})) == ("", real)
