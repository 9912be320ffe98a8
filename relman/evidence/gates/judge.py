"""Judge an image's facts by relman's own rules and by a policy (steps 7 to 10 of relman/evidence/release.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from relman.evidence.assessment import Criteria, Facts
from relman.evidence.gates import proven_in, source, statements, test_results
from relman.evidence.gates.verdict import Verdict
from relman.model import policy as rules
from relman.model.errors import NoEvidence, PolicyRefused, UsageError
from relman.model.policy import Rule, Skip

GATES: Mapping[type[Any], Callable[[Any, Facts, datetime], Verdict]] = {
    rules.MinimumTests: test_results.minimum_tests,
    rules.NoFailures: test_results.no_failures,
    rules.NoFlaky: test_results.no_flaky,
    rules.MaximumAge: test_results.maximum_age,
    rules.Branch: source.branch,
    rules.CleanCheckout: source.clean_checkout,
    rules.ProvenIn: proven_in.proven_in,
    rules.Attested: statements.attested,
}
"""One gate for each kind of rule; AllOf and AnyOf are composed of them."""


@dataclass(frozen=True)
class Decision:
    """The verdicts of all gates on one image."""

    facts: Facts
    verdicts: tuple[Verdict, ...]

    @property
    def passed(self) -> bool:
        """Whether every gate passed or was skipped."""
        return bool(self.verdicts) and all(v.open for v in self.verdicts)

    @property
    def skipped(self) -> tuple[Skip, ...]:
        """The gates that failed and were skipped."""
        return tuple(leaf.skip for v in self.verdicts for leaf in v.leaves if leaf.skip)

    def require(self) -> None:
        """Raise PolicyRefused unless all gates passed; NoEvidence if there is no test result of the image at all."""
        if self.passed:
            return
        shut = [v for v in self.verdicts if not v.open]
        kind = NoEvidence if shut and shut[0].absent and not self.facts.results else PolicyRefused
        first = shut[0] if shut else Verdict("policy", False, "nothing was judged")
        raise kind(
            f"{self.facts.subject} is refused by {', '.join(v.gate for v in shut)}: {first.why}",
            hint=first.fix,
            details=[*(line for v in shut for line in _lines(v)), *self.facts.refused],
        )


def judge(facts: Facts, check: Criteria, *, deploying: bool) -> Decision:
    """Judge by the rules that relman always requires, then by the policy. Raises UsageError for a skip that names no
    gate."""
    whole = statements.whole(facts, deploying=deploying)
    always = [
        test_results.tests_passed(facts),  # step 7
        *([statements.released(facts)] if deploying else []),  # step 8: a promotion is only about to make one
        *([whole] if whole else []),  # step 9
    ]
    rule = check.policy.rule  # step 10
    demanded = _parts(rule, facts, check.now) if rule else []
    verdicts = [*always, *demanded]
    _known(check.skips, verdicts)
    return Decision(facts, tuple(_skipping(verdict, check.skips) for verdict in verdicts))


def evaluate(rule: Rule, facts: Facts, now: datetime) -> Verdict:
    """Return the verdict of one rule."""
    if not isinstance(rule, rules.AllOf | rules.AnyOf):
        return GATES[type(rule)](rule, facts, now)
    gate = "all-of" if isinstance(rule, rules.AllOf) else "any-of"
    return _composed(gate, tuple(evaluate(part, facts, now) for part in rule.rules))


def _parts(rule: Rule, facts: Facts, now: datetime) -> Sequence[Verdict]:
    """The verdicts of a policy's rules one by one; an empty policy rule stays one verdict, which fails."""
    verdict = evaluate(rule, facts, now)
    return verdict.parts if verdict.gate == "all-of" and verdict.parts else [verdict]


def _composed(gate: str, parts: tuple[Verdict, ...]) -> Verdict:
    """Compose the parts of all-of or any-of. Without parts, neither passes."""
    if not parts:
        return Verdict(gate, False, "the rule is empty, so nothing passes", "Name rules in it.")
    good = sum(part.open for part in parts)
    passed = good == len(parts) if gate == "all-of" else good > 0
    wanted = "all" if gate == "all-of" else "one"
    fixes = " / ".join(part.fix for part in parts if part.fix and not part.open)
    return Verdict(gate, passed, f"{good} of {len(parts)} hold, {wanted} must", "" if passed else fixes, parts)


def _skipping(verdict: Verdict, skips: Sequence[Skip]) -> Verdict:
    """Mark the gates that a person skipped; a gate that passes is not marked."""
    if verdict.passed:
        return verdict
    if verdict.parts:
        skipped = tuple(_skipping(part, skips) for part in verdict.parts)
        verdict = replace(_composed(verdict.gate, skipped), passed=verdict.passed)
        return (
            verdict if verdict.passed or not _opened(verdict.gate, skipped) else replace(verdict, skip=_first(skipped))
        )
    named = next((s for s in skips if s.gate == verdict.gate), None)
    return replace(verdict, skip=named) if named else verdict


def _opened(gate: str, parts: Sequence[Verdict]) -> bool:
    return all(p.open for p in parts) if gate == "all-of" else any(p.open for p in parts)


def _first(parts: Sequence[Verdict]) -> Skip | None:
    return next((leaf.skip for part in parts for leaf in part.leaves if leaf.skip), None)


def _known(skips: Sequence[Skip], verdicts: Sequence[Verdict]) -> None:
    names = sorted({leaf.gate for v in verdicts for leaf in v.leaves})
    for skip in skips:
        if skip.gate not in names:
            raise UsageError(f"there is no gate {skip.gate!r} to skip", hint=f"The gates are {', '.join(names)}.")


def _lines(verdict: Verdict, indent: str = "") -> Iterator[str]:
    yield f"{indent}{verdict.gate}: {verdict.why}"
    for part in verdict.parts:
        if not part.open:
            yield from _lines(part, indent + "  ")
