"""The verdict of a gate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from relman.model.policy import Skip


@dataclass(frozen=True)
class Verdict:
    """Whether a gate passed, why, and what would make it pass.

    A gate that a person skipped has not passed and does not stop the image: `skip` says who skipped it and why. `parts`
    are the verdicts of a composed rule; `absent` distinguishes missing evidence from bad evidence.
    """

    gate: str
    passed: bool
    why: str
    fix: str = ""
    parts: tuple[Verdict, ...] = ()
    skip: Skip | None = None
    absent: bool = False

    @property
    def open(self) -> bool:
        """Whether the image may pass: the gate passed or was skipped."""
        return self.passed or self.skip is not None

    @property
    def leaves(self) -> Iterator[Verdict]:
        """The verdicts of single gates in a composed one, or the verdict itself."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves

    def to_json(self) -> dict[str, Any]:
        """The JSON form, for programs."""
        data: dict[str, Any] = {"gate": self.gate, "passed": self.passed, "why": self.why}
        if self.fix and not self.passed:
            data["fix"] = self.fix
        if self.skip:
            data["skipped"] = {"reason": self.skip.reason, "by": self.skip.by, "at": self.skip.at}
        if self.parts:
            data["parts"] = [part.to_json() for part in self.parts]
        return data


def passes(gate: str, why: str) -> Verdict:
    """The verdict of a gate that passed."""
    return Verdict(gate, True, why)


def stops(gate: str, why: str, fix: str, *, absent: bool = False) -> Verdict:
    """The verdict of a gate that failed."""
    return Verdict(gate, False, why, fix, absent=absent)
