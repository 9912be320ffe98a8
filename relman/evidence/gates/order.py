"""The gate of the promotion order: first proven good somewhere else."""

from __future__ import annotations

from datetime import datetime, timedelta

from relman.evidence.facts import Facts, Proof
from relman.evidence.gates.tests import span
from relman.evidence.gates.verdict import Verdict, passes, stops
from relman.model.policy import ProvenIn

_NOT_LOOKED = Proof(None, "nobody looked")


def proven_in(rule: ProvenIn, facts: Facts, _: datetime) -> Verdict:
    """It served in another environment, good, for long enough."""
    gate, name = "proven-in", rule.environment
    proof = facts.proven.get(name, _NOT_LOOKED)
    wanted = span(timedelta(seconds=rule.seconds))
    if proof.seconds is None:
        return stops(gate, f"it is not proven good in {name}: {proof.why}", f"Deploy it there: relman deploy -e {name}")
    said = f"it served in {name} for {span(timedelta(seconds=proof.seconds))}, {wanted} are wanted"
    if proof.seconds < rule.seconds:
        left = span(timedelta(seconds=rule.seconds - proof.seconds))
        return stops(gate, said, f"Wait for another {left}.")
    return passes(gate, said)
