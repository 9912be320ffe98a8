"""Make test-result statements. Pure.

Specifications: in-toto Statement v1 (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md) and the
predicate test-result v0.1 (https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md).
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

from relman.evidence.test_result import EXIT_CODE_ONLY, IMAGE_CONFIG, SMOKE_ONLY, SOURCE, STATEMENT_TYPE
from relman.model.image import ManifestDigest
from relman.model.predicates import TEST_RESULT
from relman.model.run import Commit, TestReport

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})$")


def statement_for(report: TestReport, *images: ManifestDigest, name: str, attested: str = "") -> bytes:
    """Return the Statement that `images` were tested as `report` says.

    `images` are an index and the manifest in it that was tested, or the manifest alone. `name` is their repository
    (registry/repository). `attested` is the time of the statement, RFC 3339. Equal arguments give equal bytes.
    """
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": image.hex}} for image in dict.fromkeys(images)],
        "predicateType": TEST_RESULT,
        "predicate": {
            "result": "PASSED" if report.passed else "FAILED",
            "configuration": _configuration(report, attested),
            "passedTests": [c.title for c in report.commands if c.passed],
            "warnedTests": list(report.flaky),
            "failedTests": [c.title for c in report.commands if not c.good],
            **({"url": report.url} if report.url else {}),
        },
    }
    return json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()


def judged_by(report: TestReport) -> str:
    """SMOKE_ONLY or EXIT_CODE_ONLY where nothing else was checked, "" where result files were read."""
    return SMOKE_ONLY if report.smoke_only else EXIT_CODE_ONLY if report.exit_code_only else ""


def _configuration(report: TestReport, attested: str) -> list[dict[str, Any]]:
    """The in-toto ResourceDescriptors of everything that the result depends on
    (https://github.com/in-toto/attestation/blob/main/spec/v1/resource_descriptor.md)."""
    tested = {
        "name": IMAGE_CONFIG,
        "digest": {"sha256": report.config.hex},
        "annotations": {
            "run": str(report.run),
            "service": report.service,
            "platform": str(report.platform),
            "started": report.started,
            "finished": report.finished,
            **({"attested": attested} if attested else {}),
            **({"judgedBy": judged_by(report)} if judged_by(report) else {}),
            **({"tests": dataclasses.asdict(report.findings.totals)} if report.findings else {}),
            "commands": [
                {"argv": list(c.argv), "exitCode": c.exit_code, "seconds": round(c.seconds, 3)} for c in report.commands
            ],
        },
    }
    services = [_described(f"service/{alias}", image) for alias, image in sorted(report.services.items())]
    beside = [_described(f"test/{c.title}", c.image) for c in report.commands if c.image]
    return [tested, *_source(report.commit), *services, *beside]


def _source(commit: Commit) -> list[dict[str, Any]]:
    if not commit.revision:
        return []
    source = {"name": SOURCE, "digest": {"gitCommit": commit.revision}}
    notes = {"annotations": {"branch": commit.branch, "dirty": commit.dirty}}
    return [source | notes | ({"uri": commit.url} if commit.url else {})]


def _described(name: str, image: str) -> dict[str, Any]:
    digest = _DIGEST.search(image)
    return {"name": name, "uri": image} | ({"digest": {"sha256": digest[1]}} if digest else {})
