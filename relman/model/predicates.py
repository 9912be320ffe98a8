"""Types of in-toto predicates (https://github.com/in-toto/attestation/tree/main/spec/predicates) and their short names
in trust and policy files."""

from __future__ import annotations

from collections.abc import Mapping

TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
RELEASE = "https://slsa.dev/verification_summary/v1"

SHORT: Mapping[str, str] = {
    "test-result": TEST_RESULT,
    "release": RELEASE,
    "provenance": "https://slsa.dev/provenance/v1",
    "vulnerabilities": "https://cosign.sigstore.dev/attestation/vuln/v1",
    "spdx": "https://spdx.dev/Document",
    "cyclonedx": "https://cyclonedx.org/bom",
}
_NAMES = {uri: name for name, uri in SHORT.items()}


def short(predicate_type: str) -> str:
    """The short name of this type, or the type itself."""
    return _NAMES.get(predicate_type, predicate_type)
