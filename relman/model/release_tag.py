"""What a release may be called: templates, in which `{build}`, `{job}`, `{commit}` and `{version}` stand for the values
of its run, and the tags that no release may have."""

from __future__ import annotations

import re
from collections.abc import Callable

from relman.model.run import RUN_TAGS, Commit, RunName

EVIDENCE_TAGS = "sha256-"
"""What the tags of evidence start with, where a registry has no referrers API (OCI distribution-spec, Referrers Tag
Schema)."""

OWN_TAGS = (RUN_TAGS, EVIDENCE_TAGS)
"""What the tags that relman itself sets start with."""

_FIELDS = ("build", "job", "commit", "version")
_FIELD = re.compile(r"\{([^{}]*)\}")


def fill(template: str, value: Callable[[str], str]) -> str:
    """The template with `value` of each field's name in its place. Raises ValueError for an unknown field."""
    for name in _FIELD.findall(template):
        if name not in _FIELDS:
            raise ValueError(f"unknown field {{{name}}}: known are {', '.join(f'{{{f}}}' for f in _FIELDS)}")
    return _FIELD.sub(lambda field: value(field[1]), template)


def values(run: RunName, commit: Commit, version: str) -> dict[str, str]:
    """The value of each field; the commit's is its first 12 digits."""
    return dict(zip(_FIELDS, (run.build, run.job, commit.revision[:12], version), strict=True))
