"""What a gate says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from relman.model.policy import Skip


@dataclass(frozen=True)
class Verdict:
    """Whether the gate of this name lets the image pass, why, and what would make it pass. A gate that a person left
    out did not pass and does not stop: `skip` says who and why. `parts` are what a composed rule is made of; `absent`
    tells that it is evidence that is missing, not that there is bad one."""

    gate: str
    passed: bool
    why: str
    fix: str = ""
    parts: tuple[Verdict, ...] = ()
    skip: Skip | None = None
    absent: bool = False

    @property
    def open(self) -> bool:
        """Whether it does not stop the image."""
        return self.passed or self.skip is not None

    @property
    def leaves(self) -> Iterator[Verdict]:
        """The gates that this one is made of, or itself."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        data: dict[str, Any] = {"gate": self.gate, "passed": self.passed, "why": self.why}
        if self.fix and not self.passed:
            data["fix"] = self.fix
        if self.skip:
            data["skipped"] = {"reason": self.skip.reason, "by": self.skip.by, "at": self.skip.at}
        if self.parts:
            data["parts"] = [part.to_json() for part in self.parts]
        return data


def passes(gate: str, why: str) -> Verdict:
    """The gate is open."""
    return Verdict(gate, True, why)


def stops(gate: str, why: str, fix: str, *, absent: bool = False) -> Verdict:
    """The gate is shut."""
    return Verdict(gate, False, why, fix, absent=absent)
