"""The one error root and its classes: each class has one meaning, and so one exit code (cli/exits.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_NAMED_FILES = 2


class RelmanError(Exception):
    """What went wrong, on which host, and what to do next.

    `what` is one sentence; `hint` says what the reader can do; `details` are lines shown under it (logs, problems).
    """

    def __init__(self, what: str, *, host: str | None = None, hint: str = "", details: Sequence[str] = ()) -> None:
        super().__init__(what)
        self.what = what
        self.host = host
        self.hint = hint
        self.details = tuple(details)

    def __str__(self) -> str:
        return f"{self.host}: {self.what}" if self.host else self.what


class UsageError(RelmanError):
    """The command line asks for something that cannot be: an unknown tag, host or environment."""


class UnknownTag(UsageError):
    """The registry has no such tag or digest."""


@dataclass(frozen=True)
class Problem:
    """One fault: the file, 1-based line and column, the path to the key, and what was expected.

    Line 0 means that what is at fault has no lines, as an image's label.
    """

    file: str
    line: int
    column: int
    key: str
    message: str

    def __str__(self) -> str:
        key = f"{self.key}: " if self.key else ""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {key}{self.message}"


class ConfigError(RelmanError):
    """One or more files say something wrong; all problems at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        ordered = sorted(problems, key=lambda p: (p.file, p.line, p.column))
        count = "1 problem" if len(ordered) == 1 else f"{len(ordered)} problems"
        files = list(dict.fromkeys(p.file for p in ordered))
        where = ", ".join(files) if len(files) <= _NAMED_FILES else f"{files[0]} and {len(files) - 1} more"
        super().__init__(f"{count} in {where}", details=[str(p) for p in ordered])
        self.problems = tuple(ordered)


class PolicyRefused(RelmanError):
    """A rule forbids it: no evidence, failed tests, a release tag that moved."""


class NoEvidence(PolicyRefused):
    """Nothing in the registry shows that this digest passed its tests."""


class TagMoved(PolicyRefused):
    """A release tag points at another digest than the one that it was given."""


class NothingChanged(RelmanError):
    """It could not be done, and nothing was changed."""


class Unreachable(NothingChanged):
    """A host, an engine or the registry did not answer."""


class AccessDenied(NothingChanged):
    """A password, key or permission was refused."""


class HostKeyRejected(NothingChanged):
    """A host's key is unknown or is not the known one."""


class RegistryError(NothingChanged):
    """The registry answered against its specification, or with an error of its own."""


class EngineError(NothingChanged):
    """An engine refused or failed a request. `status` is its HTTP status, where there was one."""

    def __init__(
        self,
        what: str,
        *,
        host: str | None = None,
        status: int | None = None,
        hint: str = "",
        details: Sequence[str] = (),
    ) -> None:
        super().__init__(what, host=host, hint=hint, details=details)
        self.status = status


class NotFound(EngineError):
    """The engine has no such container, image or network."""


class PreflightFailed(NothingChanged):
    """A host is not fit for the deployment; found before anything was changed."""


class PullFailed(NothingChanged):
    """A host could not get the image; found before anything was changed."""


class RolledBack(RelmanError):
    """The deployment failed, and every changed host is back on what it ran before."""


class MixedFleet(RelmanError):
    """Hosts now run different releases; a person decides."""


class Locked(RelmanError):
    """Somebody else is at work on these hosts."""


class Interrupted(RelmanError):
    """An earlier deployment died half way; `relman recover` resolves it."""


class BuildFailed(RelmanError):
    """The image could not be built."""


class TestsFailed(RelmanError):
    """The tests failed, or could not be run."""

    __test__ = False


class Drift(RelmanError):
    """What runs is not what was deployed."""


class NotServing(RelmanError):
    """At least one host serves nothing."""


class Cancelled(RelmanError):
    """Stopped by a person or a signal; the fleet is consistent."""
