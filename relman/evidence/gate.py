"""Whether evidence is good enough: pure decisions from the statements to a yes or a refusal that says why."""

from __future__ import annotations

from collections.abc import Iterable

from relman.evidence.statement import Rule, TestResult, read_statement, read_test_result
from relman.model.errors import NoEvidence, PolicyRefused
from relman.model.image import ConfigDigest, ManifestDigest


def require_passed(statements: Iterable[bytes], manifest: ManifestDigest, config: ConfigDigest) -> TestResult:
    """The first statement which shows that this very image passed.

    Raises NoEvidence when none is about this image, and PolicyRefused when those that are do not show a pass; the
    details say of each statement why it does not count.
    """
    reasons: list[str] = []
    about_it = False
    for statement in statements:
        try:
            result = _about(statement, manifest)
            about_it = True
            return _passed(result, config)
        except PolicyRefused as refusal:
            reasons.append(refusal.what)
    what = f"shows that {manifest} passed its tests (rule {Rule.PASSED if about_it else Rule.PRESENT})"
    if about_it:
        raise PolicyRefused(
            f"no statement {what}", hint="Run its tests again, and promote it when they pass.", details=reasons
        )
    raise NoEvidence(f"nothing in the registry {what}", hint="Promote it first: relman promote.", details=reasons)


def _about(payload: bytes, manifest: ManifestDigest) -> TestResult:
    statement = read_statement(payload)
    if manifest not in statement.subjects:
        others = ", ".join(sorted(s.short for s in statement.subjects)[:3])
        raise Rule.SUBJECT.refuses(f"the statement is about {others or 'no image'}, not about {manifest.short}")
    return read_test_result(statement)


def _passed(result: TestResult, config: ConfigDigest) -> TestResult:
    if result.config != config:
        raise Rule.CONFIG.refuses(f"what was tested is {result.config.short}, the image is {config.short}")
    if result.result != "PASSED" or result.failed:
        failed = f": {', '.join(result.failed[:3])}" if result.failed else ""
        raise Rule.PASSED.refuses(f"its result is {result.result[:20] or 'missing'}{failed}")
    if not result.passed:
        raise Rule.PASSED.refuses("the statement names no test that passed")
    return result
