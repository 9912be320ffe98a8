"""The document `releases`: the releases of a service, and where they run."""

from __future__ import annotations

from typing import Any

from relman.app.releases.list_releases import FoundReleases
from relman.app.releases.listing import ListedImage
from relman.evidence.test_result import SMOKE_ONLY


def releases_document(found: FoundReleases) -> dict[str, Any]:
    """A row for each image, in the order shown; `unlisted` are hosts that run an image without a row."""
    query = found.query
    return {
        "service": query.service,
        "repository": str(query.repository),
        "environment": query.environment.name if query.environment else None,
        "total": found.selection.total,
        "releases": [_image(image) for image in found.selection.rows],
        "unlisted": found.unlisted,
        "unasked": dict(found.running.unasked),
    }


def _image(image: ListedImage) -> dict[str, Any]:
    release, evidence = image.listed.release, image.listed.evidence
    return {
        "tag": image.tag,
        "also": list(image.others),
        "channels": list(image.channels),
        "digest": str(release.manifest),
        "config": str(release.config),
        "platform": str(release.platform),
        "created": release.created,
        "commit": release.commit,
        "dirty": evidence is not None and evidence.clean is False,
        "skipped": list(release.skipped),
        "evidence": {
            "run": evidence.run,
            "finished": evidence.finished,
            "passed": list(evidence.passed),
            "exit_code_only": bool(evidence.judged_by),
            "smoke_only": evidence.judged_by == SMOKE_ONLY,
        }
        if evidence
        else None,
        "refusal": image.listed.refusal,
        "hosts": list(image.hosts),
    }
