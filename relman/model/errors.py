"""The one error root, and below it two kinds: causes say what went wrong, conclusions what a command came to.

    RelmanError
      UsageError (UnknownTag) · ConfigError                          the command line or a file is wrong
      PolicyRefused (NoEvidence, TagMoved)                           a rule forbids it
      BuildFailed · TestsFailed (CannotAsk)                          the image is not good, or nobody can tell
      Failure                                                        something could not be done, at one place:
        Unreachable · AccessDenied · HostKeyRejected                   a host, an engine, the registry
        RegistryError · EngineError (NotFound) · PullFailed
        PreflightFailed · StepFailed (Stale) · TaskFailed              a step on a host
        HookFailed · CheckFailed · StorageFailed                       this machine
        HostsFailed                                                    several hosts, each in its own way
      InternalError                                                  a fault of relman's own
      Conclusion                                                     what a command came to, on all hosts:
        RolledBack · MixedFleet · NotServing · Unknown · Unhealthy
        Drift · Locked · Interrupted · Cancelled

A cause says nothing about what was changed: `relman/rollout/ending.py` turns causes and what became of each host into a
conclusion, and `relman/cli/exits.py` classes into exit codes. A Failure that ends a command without a conclusion was
raised before anything was changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_NAMED_FILES = 2


@dataclass(frozen=True)
class Symptoms:
    """What was seen of a container that failed: its exit code (None while it runs), whether it used more memory than it
    may, what its health probe answered last, and its last lines."""

    exit_code: int | None = None
    oom: bool = False
    probe: str = ""
    log: tuple[str, ...] = ()


class RelmanError(Exception):
    """What went wrong, on which host, and what to do next.

    `what` is one sentence; `hint` says what the reader can do; `details` are lines shown under it (logs, problems);
    `symptoms` are those of the container that is at fault, where one is.
    """

    def __init__(
        self,
        what: str,
        *,
        host: str | None = None,
        hint: str = "",
        details: Sequence[str] = (),
        symptoms: Symptoms | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.host = host
        self.hint = hint
        self.details = tuple(details)
        self.symptoms = symptoms

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


class BuildFailed(RelmanError):
    """The image could not be built."""


class TestsFailed(RelmanError):
    """The tests failed, or could not be run."""

    __test__ = False


class CannotAsk(TestsFailed):
    """Nothing can ask a container whether it is ready, which says nothing about it."""


class Failure(RelmanError):
    """Something could not be done, at one place: on a host, at the registry, on this machine."""


class Unreachable(Failure):
    """A host, an engine or the registry did not answer."""


class AccessDenied(Failure):
    """A password, key or permission was refused."""


class HostKeyRejected(Failure):
    """A host's key is unknown or is not the known one."""


class RegistryError(Failure):
    """The registry answered against its specification, or with an error of its own."""


class EngineError(Failure):
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


class PullFailed(Failure):
    """A host could not get the image."""


class PreflightFailed(Failure):
    """A host is not fit for what is asked for."""


class StepFailed(Failure):
    """A step did not reach its end; `details` are the evidence: exit code, OOM, health output, last log lines."""


class Stale(StepFailed):
    """The host is not as it was when the plan was made; it is left alone."""


class TaskFailed(Failure):
    """A task did not come to a good end. It changed no container of the service."""


class HookFailed(Failure):
    """A hook before the first change says no."""


class CheckFailed(Failure):
    """The check of a playbook or of a canary says no."""


class StorageFailed(Failure):
    """A file of relman's own on this machine cannot be read or written."""


class HostsFailed(Failure):
    """Several hosts failed, each in its own way."""


class Conclusion(RelmanError):
    """What a command came to."""


class RolledBack(Conclusion):
    """The deployment failed, and every changed host is back on what it ran before."""


class MixedFleet(Conclusion):
    """Hosts now run different releases; a person decides."""


class NotServing(Conclusion):
    """At least one host serves nothing."""


class Unknown(Conclusion):
    """A host did not answer, so that its state is not known."""


class Unhealthy(Conclusion):
    """It serves, but is unhealthy, paused or partly running."""


class Drift(Conclusion):
    """What runs is not what was deployed."""


class Locked(Conclusion):
    """Somebody else is at work on these hosts."""


class Interrupted(Conclusion):
    """An earlier deployment died half way; `relman recover` resolves it."""


class Cancelled(Conclusion):
    """Stopped by a person or a signal; the fleet is consistent."""


class InternalError(RelmanError):
    """A fault of relman's own; its cause is what `--debug` shows."""

    @classmethod
    def of(cls, error: BaseException, host: str | None = None) -> InternalError:
        """What was raised where nothing foreign should be, on `host` if it was met in the work there."""
        internal = cls(
            f"internal error: {type(error).__name__}: {error}",
            host=host,
            hint="This is a bug in relman; --debug shows the traceback.",
        )
        internal.__cause__ = error
        return internal
