"""Show what differs between two releases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from relman.app.releases.compare import ComparedRelease, Comparison
from relman.cli.output.plan_view import settings_that_change
from relman.cli.output.printer import Output
from relman.cli.output.text import moment, size
from relman.local.git import LoggedCommit
from relman.model.formats.text import hosts_by, some

_MOST = 30  # commits


def show_diff(output: Output, found: Comparison) -> None:
    """Show both releases side by side, then the settings that change, then the commits."""
    old, new = found.old, found.new
    output.line(f"{found.service} in {found.environment}: {old.tag} -> {new.tag}")
    if found.serving:
        output.line(f"{old.tag} serves on {some(list(found.serving.settings))}")
    if old.manifest == new.manifest:
        output.line("both are the same image")
    output.table(("", old.tag, new.tag), list(_rows(found)))
    for line in (*_settings(found), *_commits(found)):
        output.line(line)
    for tag, why in dict.fromkeys((side.tag, side.refusal) for side in (old, new)):
        if why:
            output.warn(f"{tag} may not be deployed: {why}")
    for why, names in hosts_by((each.host, each.problem) for each in found.hosts if each.problem).items():
        output.warn(f"the settings on {some(names)} are not known: {why}")


def _rows(found: Comparison) -> Iterator[tuple[str, str, str]]:
    old, new = found.old, found.new
    yield ("digest", old.manifest.short, new.manifest.short)
    yield ("commit", _commit(old), _commit(new))
    yield ("built", _built(old), _built(new))
    yield ("base image", _base(old), _base(new))
    more = f", {size(found.new_bytes)} of it new" if old.layers and found.new_bytes else ""
    yield ("size", _size(old), f"{_size(new)}{more}")
    yield ("tests", _tests(old), _tests(new))


def _commit(side: ComparedRelease) -> str:
    return side.commit[:12] + (" (dirty)" if side.dirty and side.commit else "") or "unknown"


def _built(side: ComparedRelease) -> str:
    return f"{moment(side.created)} UTC" if side.created else "unknown"


def _base(side: ComparedRelease) -> str:
    digest = side.base_digest.removeprefix("sha256:")[:12]
    return f"{side.base} ({digest})" if side.base and digest else side.base or "unknown"


def _size(side: ComparedRelease) -> str:
    return size(side.size) if side.platform else "unknown"


def _tests(side: ComparedRelease) -> str:
    if side.platform is None:
        return "unknown"
    if (found := side.evidence) is None:
        return "no evidence"
    failed = f", {found.failures} failed" if found.failures else ""
    how = f", {found.judged_by}" if found.judged_by else ""
    return f"{found.tests} passed{failed}" + (f" in {found.run}" if found.run else "") + how


def _settings(found: Comparison) -> Iterator[str]:
    known = [each for each in found.hosts if not each.problem]
    lines = [*settings_that_change((each.host, each.changes) for each in known)]
    by_keys = hosts_by((each.host, each.rollout) for each in known if each.rollout)
    lines += [f"the rollout changes on {some(on)}: {', '.join(keys)}" for keys, on in by_keys.items()]
    yield from lines
    if known and not lines:
        yield "settings: no difference"


def _commits(found: Comparison) -> Iterator[str]:
    old, new = found.old, found.new
    before, after = old.commit[:12], new.commit[:12]
    if not (old.commit and new.commit):
        nameless = old.tag if not old.commit else new.tag
        yield f"commits: not known, because the image of {nameless} names none"
    elif old.commit == new.commit:
        yield "commits: both are of the same one"
    elif found.commits is None:
        where = f"a checkout of {new.source or old.source}" if new.source or old.source else "a checkout"
        yield f"commits: not in a checkout here; in {where}: git log --oneline {before}..{after}"
    else:
        yield f"commits ({before}..{after}):"
        yield from _logged("+", [c for c in found.commits if c.new], f"{before}..{after}")
        yield from _logged("-", [c for c in found.commits if not c.new], f"{after}..{before}")


def _logged(mark: str, commits: Sequence[LoggedCommit], between: str) -> Iterator[str]:
    yield from (f"  {mark} {each.revision[:12]} {each.subject}".rstrip() for each in commits[:_MOST])
    if len(commits) > _MOST:
        yield f"  {mark} {len(commits) - _MOST} more: git log --oneline {between}"
