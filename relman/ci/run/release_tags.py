"""The tags of a run's release, from the templates in relman.yml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from relman.model.errors import UsageError
from relman.model.image import check_tag
from relman.model.release_tag import fill, values
from relman.model.run import Commit, RunName
from relman.model.service import ReleaseRules

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
_WHERE_FROM: Mapping[str, str] = {
    "commit": "Build in a git checkout.",
    "version": "Tag the commit in git, or give it with --image-version.",
}


@dataclass(frozen=True)
class Tags:
    """The tags of a release: `release` never moves, `channels` do."""

    release: str
    channels: tuple[str, ...] = ()


def tags_for(rules: ReleaseRules, run: RunName, commit: Commit, version: str) -> Tags:
    """Fill in the templates. Characters that a tag cannot contain (`/` in a job's name) become `-`.

    {commit} is its first 12 digits, with `-dirty` if the checkout had uncommitted changes. Raises UsageError if a value
    is missing, the result is not a tag, or the release would equal a channel.
    """
    known = values(run, commit, version)
    known["commit"] += "-dirty" if commit.dirty and commit.revision else ""
    release = _fill("release.tag", rules.tag, known)
    channels = tuple(dict.fromkeys(_fill("release.channels", c, known) for c in rules.channels))
    if release in channels:
        hint = "releases never move and channels do: change release.tag or release.channels in relman.yml"
        raise UsageError(f"the release of {run} and one of its channels would both be {release}", hint=hint)
    return Tags(release, channels)


def _fill(key: str, template: str, known: Mapping[str, str]) -> str:
    def value(field: str) -> str:
        found = _UNSAFE.sub("-", known[field])
        if not found:
            hint = _WHERE_FROM.get(field, "")
            raise UsageError(f"{key} is {template}, and this run has no {field}", hint=hint)
        return found

    filled = fill(template, value)
    try:
        return check_tag(filled)
    except UsageError as error:
        raise UsageError(f"{key} is {template}, for this run {filled!r}: that is not a tag", hint=error.hint) from None
