"""The sample applications as their authors have them: each a git repository of its own, with a commit."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.apps.bases import APPS

WRITTEN_FOR = "10.77.0.254:5000"  # the registry in their relman.yml, that of lab 0
AUTHOR = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


def checkout(name: str, target: Path, registry: str) -> Path:
    """Copy application NAME to `target`, for this registry, and commit it there; returns `target`."""
    shutil.copytree(APPS / name, target, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    file = target / "relman.yml"
    file.write_text(file.read_text().replace(WRITTEN_FOR, registry))
    git(target, "init", "--quiet", "--initial-branch=master")
    commit(target, f"The {name} of the samples")
    return target


def commit(root: Path, message: str) -> str:
    """Commit everything in the repository at `root`; returns the revision."""
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", f"--message={message}")
    return git(root, "rev-parse", "HEAD")


def git(root: Path, *arguments: str) -> str:
    """Run git in `root`, without anybody's configuration; returns what it said."""
    argv = ["git", "-C", str(root), *arguments]
    return subprocess.run(argv, env={**os.environ, **AUTHOR}, check=True, capture_output=True, text=True).stdout.strip()
