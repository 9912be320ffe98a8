"""Documents `gate` and `evidence`: the decision on an image, and the statements about it."""

from __future__ import annotations

import json
from typing import Any

from relman.evidence.assessment import Counted
from relman.evidence.gates.judge import Decision
from relman.evidence.release import Examined
from relman.model.formats.clock import rfc3339


def decision_document(decision: Decision) -> dict[str, Any]:
    """The decision, with the reason for each gate and how to pass it."""
    subject = decision.facts.subject
    return {
        "repository": str(subject.repository),
        "tag": subject.tag,
        "manifest": str(subject.manifest),
        "resolved": str(subject.resolved),
        "config": str(subject.config),
        "passed": decision.passed,
        "gates": [verdict.to_json() for verdict in decision.verdicts],
        "refused": list(decision.facts.refused),
    }


def evidence_document(examined: Examined) -> dict[str, Any]:
    """The decision, and the full content of each statement that counts."""
    statements = [_statement(counted) for counted in examined.facts.counted]
    return {**decision_document(examined.decision), "statements": statements}


def _statement(counted: Counted) -> dict[str, Any]:
    time = counted.statement.time
    return {
        "type": counted.statement.predicate_type,
        "signer": counted.signer,
        "time": rfc3339(time) if time else "",
        "statement": json.loads(counted.payload),
    }
