"""The name of a run, and the commit that it builds."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from relman.config.ci_systems import NONE, SYSTEMS, system_of
from relman.local import git
from relman.model.errors import UsageError
from relman.model.run import Commit, RunName


def run_name(env: Mapping[str, str], flag: str | None, service: str) -> RunName:
    """The name of the service's run: `flag` (JOB/BUILD), else RELMAN_RUN, else from the CI system's variables.

    The matrix job is RELMAN_MATRIX, else from the CI system's variables. Raises UsageError if there is no name.
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
    """The commit checked out at `root`; empty without git or a checkout.

    `dirty` covers `root` and below, including untracked files; the URL is without its password. CI systems check out
    commits, not branches: there the branch is what their variables in `env` name for this commit. If git refuses to
    read the checkout (`distrustful`), the commit is taken from the CI's variables, and counts as dirty because its
    state is unknown.
    """
    revision = git.ask(root, "rev-parse", "HEAD")
    if not revision and distrustful(root):
        facts = system_of(env).facts(env)
        return Commit(facts.commit, facts.branch, dirty=True) if facts.commit else Commit()
    if not revision:
        return Commit()
    return Commit(
        revision=revision,
        branch=git.ask(root, "symbolic-ref", "--short", "-q", "HEAD") or _branch_in_ci(revision, env),
        url=without_password(git.ask(root, "config", "--get", "remote.origin.url")),
        dirty=bool(git.ask(root, "status", "--porcelain", "--", ".")),
    )


def distrustful(root: Path) -> str:
    """Why git refuses to read the checkout, owned by another user ("dubious ownership"), and the remedy; "" if it does
    not."""
    top = next((each for each in (root.resolve(), *root.resolve().parents) if (each / ".git").exists()), None)
    if top is None or git.ask(root, "rev-parse", "--git-dir") or top.stat().st_uid == os.geteuid():
        return ""
    return (
        f"git does not read {top}: it belongs to another user ({top.stat().st_uid}), so its changes are not known; "
        f"type: git config --global --add safe.directory {shlex.quote(str(top))}"
    )


def _branch_in_ci(revision: str, env: Mapping[str, str]) -> str:
    facts = system_of(env).facts(env)
    return facts.branch if facts.commit in ("", revision) else ""


def commit_seconds(root: Path, commit: Commit) -> int:
    """The time of the commit, in seconds since the epoch; 0 if the checkout at `root` lacks it."""
    return int(git.ask(root, "show", "--no-patch", "--format=%ct", f"{commit.revision}^{{commit}}") or 0)


def version_of(root: Path) -> str:
    """The version from git describe: the commit's tag, or the nearest one with a suffix; "" if there is none."""
    return git.ask(root, "describe", "--tags", "--dirty")


def describe(commit: Commit) -> str:
    """One line about the commit, or why there is none."""
    if not commit.revision:
        return "no git checkout: the image will name no commit"
    dirty = ", with uncommitted changes" if commit.dirty else ""
    return f"commit {commit.revision[:12]}{dirty}"


def without_password(url: str) -> str:
    """The URL without user and password; other forms (`git@host:path`) are unchanged."""
    parts = urlsplit(url)
    if not parts.scheme or "@" not in parts.netloc:
        return url
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
