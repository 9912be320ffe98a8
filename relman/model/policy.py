"""What a release must fulfil, as a value: rules, and their composition. How each is judged is evidence/gates/."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class MinimumTests:
    """At least this many tests passed."""

    count: int


@dataclass(frozen=True)
class NoFailures:
    """No test failed, by the names and the totals of the test result."""


@dataclass(frozen=True)
class NoFlaky:
    """No test needed a second try."""


@dataclass(frozen=True)
class MaximumAge:
    """The tests ended at most this many seconds ago."""

    seconds: float


@dataclass(frozen=True)
class Branch:
    """What was built is of a branch that matches one of these patterns."""

    patterns: tuple[str, ...]


@dataclass(frozen=True)
class CleanCheckout:
    """What was built is exactly a commit, without changes of its own."""


@dataclass(frozen=True)
class ProvenIn:
    """It was proven good in another environment, and served there for at least this many seconds."""

    environment: str
    seconds: float = 0.0


@dataclass(frozen=True)
class Attested:
    """There is a statement of this predicate type about the image, signed by one of `signers` (empty: by any key that
    may sign it)."""

    predicate_type: str
    signers: tuple[str, ...] = ()


@dataclass(frozen=True)
class AllOf:
    """Every rule holds. No rules: it does not hold."""

    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class AnyOf:
    """At least one rule holds. No rules: it does not hold."""

    rules: tuple[Rule, ...]


Rule = MinimumTests | NoFailures | NoFlaky | MaximumAge | Branch | CleanCheckout | ProvenIn | Attested | AllOf | AnyOf


@dataclass(frozen=True)
class Policy:
    """What is demanded besides what relman always demands. `rule` None demands nothing more; `source` is the policy as
    written, in canonical JSON, and `origin` where it stands."""

    rule: Rule | None = None
    source: str = "[]"
    origin: str = ""

    def environments(self) -> list[str]:
        """The environments in which it wants an image proven, sorted."""
        return sorted({r.environment for r in _all(self.rule) if isinstance(r, ProvenIn)})


NO_POLICY = Policy()


@dataclass(frozen=True)
class Skip:
    """A gate that a person left out, by name, and why. `at` is RFC 3339."""

    gate: str
    reason: str
    by: str
    at: str

    def __str__(self) -> str:
        return f"{self.gate} skipped by {self.by} at {self.at}: {self.reason}"


@dataclass(frozen=True)
class Demands:
    """What an environment or a service demands of evidence: whom it trusts (None: nobody was named, and unsigned
    statements count) and its policy."""

    trust: str | None = None
    policy: Policy = field(default_factory=Policy)


def _all(rule: Rule | None) -> Iterator[Rule]:
    if rule is None:
        return
    yield rule
    if isinstance(rule, AllOf | AnyOf):
        for part in rule.rules:
            yield from _all(part)
