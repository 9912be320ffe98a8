"""Show decisions about an image."""

from __future__ import annotations

from collections.abc import Iterator

from relman.cli.output.printer import Output
from relman.evidence.gates.judge import Decision
from relman.evidence.gates.verdict import Verdict


def show_decision(output: Output, decision: Decision) -> None:
    """Show every gate: whether it passes, why, and what would make it pass."""
    rows = [row for verdict in decision.verdicts for row in _rows(verdict, "")]
    output.table(("GATE", "", "WHY", "TO PASS"), rows)
    for refused in decision.facts.refused:
        output.warn(refused)


def _rows(verdict: Verdict, indent: str) -> Iterator[tuple[str, ...]]:
    mark = "pass" if verdict.passed else "skipped" if verdict.skip else "FAIL"
    why = f"{verdict.why} ({verdict.skip.reason}, {verdict.skip.by})" if verdict.skip else verdict.why
    fix = "" if verdict.passed or verdict.parts else verdict.fix
    yield (f"{indent}{verdict.gate}", mark, why, fix)
    for part in verdict.parts:
        yield from _rows(part, f"{indent}  ")
