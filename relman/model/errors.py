"""All errors of relman: causes say what went wrong at one place, conclusions how a command ended on all hosts.

    RelmanError
      UsageError (UnknownTag) · ConfigError                          the command line or a file is wrong
      PolicyRefused (NoEvidence, TagMoved)                           a rule forbids it
      BuildFailed · TestsFailed (CannotAsk)                          the image is bad, or could not be tested
      Failure                                                        an operation failed at one place:
        Unreachable · AccessDenied · HostKeyRejected                   a host, an engine, the registry
        RegistryError · EngineError (NotFound) · PullFailed
        PreflightFailed · StepFailed (Stale) · TaskFailed              a step on a host
        HookFailed · CheckFailed · StorageFailed                       this machine
        CertificateRefused                                             a certificate authority
        HostsFailed                                                    several hosts, each in its own way
      InternalError                                                  a bug in relman
      Conclusion                                                     how a command ended, on all hosts:
        RolledBack · MixedFleet · NotServing · Unknown · Unhealthy
        Drift · Locked · Interrupted · Cancelled

A cause says nothing about what was changed: `relman/rollout/conclusion.py` turns causes and what became of each host
into a conclusion, and `relman/cli/exits.py` classes into exit codes. A Failure that ends a command without a conclusion
was raised before anything was changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_NAMED_FILES = 2


@dataclass(frozen=True)
class Symptoms:
    """Observations of a container that failed: its exit code (None while it runs), whether it exceeded its memory
    limit, the last result of its health probe, and its last log lines."""

    exit_code: int | None = None
    oom: bool = False
    probe: str = ""
    log: tuple[str, ...] = ()


class RelmanError(Exception):
    """An error with what happened, on which host, and what to do next.

    `what` is one sentence; `hint` says what the reader can do; `details` are lines shown below it (logs, problems);
    `symptoms` are those of the container that failed, if one did.
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
    """The command line names something that does not exist or cannot be done."""


class UnknownTag(UsageError):
    """The registry has no such tag or digest."""


@dataclass(frozen=True)
class Problem:
    """One fault in a file: 1-based line and column, the path to the key, and what was expected. Line 0 means that the
    source has no lines, like an image's label."""

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
    """One or more files are invalid; contains all problems."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        ordered = sorted(problems, key=lambda p: (p.file, p.line, p.column))
        count = "1 problem" if len(ordered) == 1 else f"{len(ordered)} problems"
        files = list(dict.fromkeys(p.file for p in ordered))
        where = ", ".join(files) if len(files) <= _NAMED_FILES else f"{files[0]} and {len(files) - 1} more"
        super().__init__(f"{count} in {where}", details=[str(p) for p in ordered])
        self.problems = tuple(ordered)


class PolicyRefused(RelmanError):
    """A rule forbids the operation: no evidence, failed tests, a moved release tag."""


class NoEvidence(PolicyRefused):
    """Nothing in the registry shows that this digest passed its tests."""


class TagMoved(PolicyRefused):
    """A release tag names another digest than the one that it was given."""


class BuildFailed(RelmanError):
    """The image could not be built."""


class TestsFailed(RelmanError):
    """The tests failed, or could not be run."""

    __test__ = False


class CannotAsk(TestsFailed):
    """A container's readiness could not be checked, which says nothing about the container."""


class Failure(RelmanError):
    """An operation failed at one place: a host, the registry, or this machine."""


class Unreachable(Failure):
    """A host, an engine or the registry did not answer."""


class AccessDenied(Failure):
    """A password, key or permission was refused."""


class HostKeyRejected(Failure):
    """A host's key is unknown, or differs from the known one."""


class RegistryError(Failure):
    """The registry violated its specification or reported an error."""


class EngineError(Failure):
    """An engine refused or failed a request. `status` is its HTTP status, if there was a response."""

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
    """A host could not pull the image."""


class PreflightFailed(Failure):
    """A host does not meet a precondition."""


class StepFailed(Failure):
    """A step failed; `details` are the evidence: exit code, OOM, health output, last log lines."""


class ProxyDown(StepFailed):
    """The proxy of a host does not run: nothing is reached through it."""


class Stale(StepFailed):
    """The host changed after the plan was made; it was not touched."""


class TaskFailed(Failure):
    """A task failed. It changed no container of the service."""


class HookFailed(Failure):
    """A hook before the first change failed."""


class CheckFailed(Failure):
    """The check of a playbook or of a canary failed, or a rehearsal found hosts that are not ready."""


class StorageFailed(Failure):
    """One of relman's own files on this machine cannot be read or written."""


class CertificateRefused(Failure):
    """A certificate authority issued no certificate. With `rate_limited` it takes no more requests for now."""

    def __init__(self, what: str, *, hint: str = "", details: Sequence[str] = (), rate_limited: bool = False) -> None:
        super().__init__(what, hint=hint, details=details)
        self.rate_limited = rate_limited


class HostsFailed(Failure):
    """Several hosts failed, for different reasons."""


class Conclusion(RelmanError):
    """How a command ended."""


class RolledBack(Conclusion):
    """The deployment failed, and every changed host runs its previous release again."""


class MixedFleet(Conclusion):
    """Hosts run different releases; a person has to decide."""


class NotServing(Conclusion):
    """At least one host serves nothing."""


class Unknown(Conclusion):
    """A host did not answer, so its state is unknown."""


class Unhealthy(Conclusion):
    """The service runs, but is unhealthy, paused or incomplete."""


class Drift(Conclusion):
    """What runs is not what was deployed."""


class Locked(Conclusion):
    """Another person or process is working on these hosts."""


class Interrupted(Conclusion):
    """An earlier deployment was interrupted; `relman recover` resolves it."""


class Cancelled(Conclusion):
    """Stopped by a person or a signal; the fleet is consistent."""


class InternalError(RelmanError):
    """A bug in relman; `--debug` shows its cause."""

    @classmethod
    def of(cls, error: BaseException, host: str | None = None) -> InternalError:
        """Wrap an unexpected exception; `host` is the host that was being worked on, if any."""
        internal = cls(
            f"internal error: {type(error).__name__}: {error}",
            host=host,
            hint="This is a bug in relman; --debug shows the traceback.",
        )
        internal.__cause__ = error
        return internal
