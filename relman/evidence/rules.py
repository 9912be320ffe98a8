"""Names of the rules by which relman itself refuses evidence. The gates of policies are in gates/."""

from __future__ import annotations

from enum import StrEnum

from relman.model.errors import PolicyRefused


class RuleName(StrEnum):
    """The rules; every refusal names the one that it follows."""

    READABLE = "statement-readable"
    PRESENT = "evidence-present"
    BOUNDED = "evidence-is-bounded"
    WHOLE = "evidence-is-whole"
    SUBJECT = "subject-is-this-image"
    CONFIG = "config-is-the-tested-one"
    PASSED = "tests-passed"
    RELEASED = "release-statement"
    SIGNED = "signature-is-trusted"
    GRANTED = "signer-may-sign-this"
    REVOKED = "key-is-not-revoked"
    IN_TIME = "key-was-valid-then"
    NOT_FUTURE = "time-is-not-in-the-future"

    def refuses(self, why: str) -> PolicyRefused:
        """Return the error for a refusal by this rule."""
        return PolicyRefused(f"{why} (rule {self})")
