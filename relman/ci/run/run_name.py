"""What a run is called and which commit it builds."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from relman.config.ci_systems import NONE, SYSTEMS, system_of
from relman.model.errors import UsageError
from relman.model.run import Commit, RunName


def run_name(env: Mapping[str, str], flag: str | None, service: str) -> RunName:
    """The name of the service's run: `flag` (JOB/BUILD) if given, else RELMAN_RUN, else from the variables of the CI
    system, which also say the matrix job, unless RELMAN_MATRIX does.

    Raises UsageError.
    """
    system = system_of(env)
    matrix = env.get("RELMAN_MATRIX", env.get(system.matrix, ""))
    if given := flag or env.get("RELMAN_RUN"):
        return RunName.parse(given, service, matrix)
    if system is not NONE:
        return RunName("/".join(env[name] for name in system.job), env[system.build], service, matrix)
    known = ", ".join(f"{s.title} ({' '.join((*s.job, s.build))})" for s in SYSTEMS.values())
    hint = f"Give it with --run JOB/BUILD or RELMAN_RUN. In CI it is read from {known}."
    raise UsageError("this run has no name", hint=hint)


def commit_of(root: Path, env: Mapping[str, str]) -> Commit:
    """The commit checked out at `root`; its revision is empty where git or a checkout is missing. `dirty` looks at
    `root` and below, untracked files included; the URL is without its password. CI systems check out commits, not
    branches: there the branch is what their variables in `env` say of this very commit. Where git is `distrustful`, the
    CI's own variable names the commit; nobody knows whether there are changes, which counts as if there were some."""
    revision = _git(root, "rev-parse", "HEAD")
    if not revision and distrustful(root):
        facts = system_of(env).facts(env)
        return Commit(facts.commit, facts.branch, dirty=True) if facts.commit else Commit()
    if not revision:
        return Commit()
    return Commit(
        revision=revision,
        branch=_git(root, "symbolic-ref", "--short", "-q", "HEAD") or _branch_in_ci(revision, env),
        url=without_password(_git(root, "config", "--get", "remote.origin.url")),
        dirty=bool(_git(root, "status", "--porcelain", "--", ".")),
    )


def distrustful(root: Path) -> str:
    """Why git will not read the checkout, which belongs to another user ("dubious ownership"), and the remedy; empty
    where it does."""
    top = next((each for each in (root.resolve(), *root.resolve().parents) if (each / ".git").exists()), None)
    if top is None or _git(root, "rev-parse", "--git-dir") or top.stat().st_uid == os.geteuid():
        return ""
    return (
        f"git does not read {top}: it belongs to another user ({top.stat().st_uid}), so its changes are not known; "
        f"type: git config --global --add safe.directory {shlex.quote(str(top))}"
    )


def _branch_in_ci(revision: str, env: Mapping[str, str]) -> str:
    facts = system_of(env).facts(env)
    return facts.branch if facts.commit in ("", revision) else ""


def commit_seconds(root: Path, commit: Commit) -> int:
    """When the commit was made, in seconds since the epoch; 0 where the checkout at `root` does not have it."""
    return int(_git(root, "show", "--no-patch", "--format=%ct", f"{commit.revision}^{{commit}}") or 0)


def version_of(root: Path) -> str:
    """The version that git knows for the commit at `root`: its tag, or the nearest with what came after; else empty."""
    return _git(root, "describe", "--tags", "--dirty")


def describe(commit: Commit) -> str:
    """One line for people: the commit, or what keeps the image from being known by one."""
    if not commit.revision:
        return "no git checkout: the image will name no commit"
    dirty = ", with uncommitted changes" if commit.dirty else ""
    return f"commit {commit.revision[:12]}{dirty}"


def without_password(url: str) -> str:
    """The URL without user and password; another form than a URL (`git@host:path`) as it is."""
    parts = urlsplit(url)
    if not parts.scheme or "@" not in parts.netloc:
        return url
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _git(root: Path, *arguments: str) -> str:
    argv = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=60, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
