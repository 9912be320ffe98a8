"""The annotated git tag of a library's release, created in the checkout and pushed to its remote."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from relman.model.errors import PolicyRefused, Unreachable, UsageError
from relman.model.release_tag import fill, values
from relman.model.run import Commit, RunName

SECONDS = 120
_UNSAFE = re.compile(r"[^A-Za-z0-9_./+-]+")
_USER = re.compile(r"://[^/@\s]+@")
# git must not prompt.
_SILENT = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -oBatchMode=yes", "LC_ALL": "C.UTF-8"}


def tag_name(template: str, run: RunName, commit: Commit, version: str) -> str:
    """Fill in the template; characters that a tag cannot contain become `-`."""
    known = values(run, commit, version)
    return fill(template, lambda name: _UNSAFE.sub("-", known[name]))


@dataclass(frozen=True)
class GitTag:
    """The tag `name` of the commit `revision` in the checkout at `root`, pushed to `remote`. `environ` is git's
    environment; `tagger` is used if git has no identity."""

    root: Path
    remote: str
    name: str
    revision: str
    tagger: str
    environ: Mapping[str, str]

    def is_pushed(self) -> bool:
        """Whether the remote has the tag, on this commit.

        Raises PolicyRefused if it is on another commit, here or there, UsageError if the checkout lacks the commit,
        Unreachable if the remote does not answer.
        """
        if self._git("cat-file", "-e", f"{self.revision}^{{commit}}").returncode:
            raise UsageError(
                f"the checkout at {self.root} does not have commit {self.revision[:12]}",
                hint="Promote in a checkout of the commit that was tested.",
            )
        self._require_ours(self._local(), "this checkout")
        there = self._there()
        self._require_ours(there, f"the remote {self.remote}")
        return there is not None

    def push(self, message: str) -> None:
        """Create the tag if necessary, and push it. A concurrent push of the same tag is fine. Raises like
        `is_pushed`."""
        if self._local() is None:
            argv = ("tag", "-a", "-F", "-", self.name, self.revision)
            self._require(self._git(*argv, stdin=message, identity=self._identity()), "make the tag")
        done = self._git("push", "--quiet", self.remote, f"refs/tags/{self.name}")
        if done.returncode and not self.is_pushed():
            self._require(done, f"push the tag to {self.remote}")

    def _local(self) -> str | None:
        """The commit that the tag names in the checkout, or None."""
        done = self._git("rev-parse", "--verify", "--quiet", f"refs/tags/{self.name}^{{commit}}")
        return done.stdout.strip() if done.returncode == 0 else None

    def _there(self) -> str | None:
        """The commit that it names in the remote, or None. The peeled line of an annotated tag comes last."""
        ref = f"refs/tags/{self.name}"
        done = self._git("ls-remote", "--tags", self.remote, ref, f"{ref}^{{}}")
        self._require(done, f"read the tags of {self.remote}")
        lines = [line.split("\t") for line in done.stdout.splitlines()]
        return lines[-1][0] if lines else None

    def _require_ours(self, found: str | None, where: str) -> None:
        if found not in (None, self.revision):
            raise PolicyRefused(
                f"in {where} the tag {self.name} stands for commit {str(found)[:12]}, not for {self.revision[:12]}",
                hint="A version is released once: give the library a new one.",
            )

    def _require(self, done: subprocess.CompletedProcess[str], what: str) -> None:
        if done.returncode:
            lines = [_USER.sub("://", line) for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            hint = "Does the remote answer, and may this machine push to it?"
            raise Unreachable(f"git cannot {what}, tag {self.name}", hint=hint, details=lines[-10:])

    def _git(
        self, *arguments: str, stdin: str = "", identity: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        argv = ["git", "-C", str(self.root), *arguments]
        env = {**_SILENT, **self.environ, **(identity or {})}
        try:
            return subprocess.run(  # noqa: S603
                argv,
                input=stdin,
                env=env,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=SECONDS,
                check=False,
            )
        except OSError as error:
            raise UsageError(f"cannot run git: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            raise Unreachable(f"git {arguments[0]} gave no answer within {SECONDS} s", hint="Try again.") from error

    def _identity(self) -> dict[str, str]:
        """An identity for the tagger, if git has none."""
        if self.environ.get("GIT_COMMITTER_EMAIL") or self._git("config", "--get", "user.email").stdout.strip():
            return {}
        return {"GIT_COMMITTER_NAME": "relman", "GIT_COMMITTER_EMAIL": self.tagger}
