"""Gates about the source that was built."""

from __future__ import annotations

from datetime import datetime
from fnmatch import fnmatchcase

from relman.evidence.assessment import Facts
from relman.evidence.gates.test_results import nothing
from relman.evidence.gates.verdict import Verdict, passes, stops
from relman.model.policy import Branch, CleanCheckout


def branch(rule: Branch, facts: Facts, _: datetime) -> Verdict:
    """Pass if the image was built from an allowed branch."""
    gate, result = "branch", facts.result
    if result is None:
        return nothing(gate)
    allowed = " or ".join(rule.patterns)
    if not result.branch:
        return stops(gate, f"the test result names no branch, and {allowed} is required", "Build it in a git checkout.")
    if not any(fnmatchcase(result.branch, pattern) for pattern in rule.patterns):
        return stops(
            gate, f"it is of the branch {result.branch}, and {allowed} is required", "Merge it and build again."
        )
    return passes(gate, f"it is of the branch {result.branch}")


def clean_checkout(_: CleanCheckout, facts: Facts, __: datetime) -> Verdict:
    """Pass if the image was built from a commit without uncommitted changes."""
    gate, result = "clean-checkout", facts.result
    if result is None:
        return nothing(gate)
    if not result.commit or result.clean is None:
        return stops(gate, "the test result does not say of which commit it is", "Build it in a git checkout.")
    if not result.clean:
        return stops(
            gate, f"the checkout of {result.commit[:12]} had uncommitted changes", "Commit them and build again."
        )
    return passes(gate, f"it is exactly the commit {result.commit[:12]}")
