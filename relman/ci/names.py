"""What a run is called and which commit it builds."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from relman.model.errors import UsageError
from relman.model.run import Commit, RunName

# CI system: the variables that together name the job, and the one that numbers the build.
_SYSTEMS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "Jenkins": (("JOB_NAME",), "BUILD_NUMBER"),
    "GitHub Actions": (("GITHUB_REPOSITORY", "GITHUB_WORKFLOW"), "GITHUB_RUN_NUMBER"),
    "GitLab CI": (("CI_PROJECT_PATH",), "CI_PIPELINE_IID"),
}


def run_name(env: Mapping[str, str], flag: str | None) -> RunName:
    """The run's name: `flag` (JOB/BUILD) if given, else from the variables of the CI system. Raises UsageError."""
    if flag:
        return RunName.parse(flag)
    for job, build in _SYSTEMS.values():
        if all(env.get(name) for name in (*job, build)):
            return RunName("/".join(env[name] for name in job), env[build])
    known = ", ".join(f"{system} ({' '.join((*job, build))})" for system, (job, build) in _SYSTEMS.items())
    raise UsageError("this run has no name", hint=f"Give it with --run JOB/BUILD. In CI it is read from {known}.")


def commit_of(root: Path) -> Commit:
    """The commit checked out at `root`; its revision is empty where git or a checkout is missing. `dirty` looks at
    `root` and below, untracked files included; the URL is without its password."""
    revision = _git(root, "rev-parse", "HEAD")
    if not revision:
        return Commit()
    return Commit(
        revision=revision,
        branch=_git(root, "symbolic-ref", "--short", "-q", "HEAD"),
        url=without_password(_git(root, "config", "--get", "remote.origin.url")),
        dirty=bool(_git(root, "status", "--porcelain", "--", ".")),
    )


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
    dirty = ", with changes that are not in it" if commit.dirty else ""
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
