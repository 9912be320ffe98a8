"""The rules that a release must fulfil, and their composition. evidence/gates/ judges them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class MinimumTests:
    """At least this many tests passed."""

    count: int


@dataclass(frozen=True)
class NoFailures:
    """No test failed, by the names and totals of the test result."""


@dataclass(frozen=True)
class NoFlaky:
    """No test needed a retry."""


@dataclass(frozen=True)
class MaximumAge:
    """The tests ended at most this many seconds ago."""

    seconds: float


@dataclass(frozen=True)
class Branch:
    """The image was built from a branch that matches one of these patterns."""

    patterns: tuple[str, ...]


@dataclass(frozen=True)
class CleanCheckout:
    """The image was built from a commit without uncommitted changes."""


@dataclass(frozen=True)
class ProvenIn:
    """The image was proven good in another environment, and served there for at least this many seconds."""

    environment: str
    seconds: float = 0.0


@dataclass(frozen=True)
class Attested:
    """There is a statement of this predicate type about the image, signed by one of `signers` (empty: by any key with
    the grant)."""

    predicate_type: str
    signers: tuple[str, ...] = ()


@dataclass(frozen=True)
class AllOf:
    """Every rule passes. Without rules it fails."""

    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class AnyOf:
    """At least one rule passes. Without rules it fails."""

    rules: tuple[Rule, ...]


Rule = MinimumTests | NoFailures | NoFlaky | MaximumAge | Branch | CleanCheckout | ProvenIn | Attested | AllOf | AnyOf


@dataclass(frozen=True)
class Policy:
    """The rules required in addition to relman's own. `rule` None requires nothing more; `source` is the policy as
    canonical JSON, `origin` its file."""

    rule: Rule | None = None
    source: str = "[]"
    origin: str = ""

    def environments(self) -> list[str]:
        """The environments in which the policy requires a proof, sorted."""
        return sorted({r.environment for r in _all(self.rule) if isinstance(r, ProvenIn)})


NO_POLICY = Policy()


@dataclass(frozen=True)
class Skip:
    """A gate that a person skipped, by name, with the reason. `at` is RFC 3339."""

    gate: str
    reason: str
    by: str
    at: str

    def __str__(self) -> str:
        return f"{self.gate} skipped by {self.by} at {self.at}: {self.reason}"


@dataclass(frozen=True)
class Demands:
    """What an environment or a service requires of evidence: its trust file (None: signatures are not checked) and its
    policy."""

    trust: str | None = None
    policy: Policy = field(default_factory=Policy)


def _all(rule: Rule | None) -> Iterator[Rule]:
    if rule is None:
        return
    yield rule
    if isinstance(rule, AllOf | AnyOf):
        for part in rule.rules:
            yield from _all(part)
