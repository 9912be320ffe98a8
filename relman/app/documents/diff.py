"""The document `diff`: two releases, and what differs between them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from relman.app.releases.compare import ComparedRelease, Comparison


def diff_document(found: Comparison) -> dict[str, Any]:
    """Both releases, and the settings of each host; `commits` is null if no checkout here has both."""
    serving = found.serving
    return {
        "service": found.service,
        "environment": found.environment,
        "old": _release(found.old),
        "new": _release(found.new),
        "serving_on": list(serving.settings) if serving else None,
        "new_bytes": found.new_bytes,
        "commits": None if found.commits is None else [asdict(commit) for commit in found.commits],
        "hosts": [
            {
                "host": each.host,
                "settings": [asdict(change) for change in each.changes],
                "rollout": list(each.rollout),
                "problem": each.problem,
            }
            for each in found.hosts
        ],
        "unasked": dict(serving.unasked) if serving else {},
    }


def _release(side: ComparedRelease) -> dict[str, Any]:
    evidence = side.evidence
    return {
        "tag": side.tag,
        "digest": str(side.manifest),
        "platform": str(side.platform or ""),
        "commit": side.commit,
        "dirty": side.dirty,
        "source": side.source,
        "base": side.base,
        "base_digest": side.base_digest,
        "created": side.created,
        "bytes": side.size,
        "evidence": {
            "run": evidence.run,
            "finished": evidence.finished,
            "result": evidence.result,
            "passed": evidence.tests,
            "failed": evidence.failures,
            "flaky": list(evidence.flaky),
            "judged_by": evidence.judged_by,
        }
        if evidence
        else None,
        "refusal": side.refusal,
    }
