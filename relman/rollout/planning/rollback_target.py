"""Decide what a rollback returns to. Pure. Each host's record decides for that host; others can only prevent its
change."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from relman.model.errors import PreflightFailed
from relman.model.formats.text import hosts_by
from relman.model.image import ManifestDigest
from relman.model.plan import Observed
from relman.model.settings_diff import same_run
from relman.model.state_dir.record import Deployed, HostRecord


@dataclass(frozen=True)
class RollbackTarget:
    """The release that hosts return to, and each host's own entry of it."""

    release: str
    manifest: ManifestDigest
    entries: Mapping[str, Deployed]


@dataclass(frozen=True)
class _Choice:
    """One host: what serves, and the newest release proven good before that, both by its own record."""

    host: str
    record: HostRecord
    serving: Deployed | None
    proposal: Deployed | None

    def takes(self, release: _Release) -> bool:
        return release in (_release(self.serving), _release(self.proposal))


@dataclass(frozen=True)
class _Typing:
    """How a command names the target, and which hosts it excludes already."""

    place: str
    left_out: Collection[str]


_Release = tuple[str, ManifestDigest]


def _release(entry: Deployed | None) -> _Release | None:
    return (entry.release, entry.manifest) if entry else None


def agreed_target(
    fleet: Sequence[Observed], place: str, left_out: Collection[str] = (), *, partly: bool = False
) -> RollbackTarget:
    """The single release that some host proposes by its record, and that every other host proposes or serves.

    `place` and `left_out` (hosts excluded already) are for hints. Raises PreflightFailed, listing every host's
    proposal, if there is not exactly one: then a person has to choose. `partly`: hosts may lack it.
    """
    choices = [_choice(seen) for seen in fleet]
    _require_any(choices)
    proposed = dict.fromkeys(r for c in choices if (r := _release(c.proposal)))
    found = [r for r in proposed if all(c.takes(r) for c in choices)]
    if len(found) == 1:
        return _target_of(choices, found[0])
    # Hosts that were added after the release have nothing to propose, and must not use the others' entries.
    alone = [r for r in proposed if all(c.takes(r) or c.proposal is None for c in choices)]
    if len(alone) == 1:
        lacking = [c.host for c in choices if not c.takes(alone[0])]
        if partly:
            return _target_of([c for c in choices if c.host not in lacking], alone[0])
        raise _unknown_to(lacking, alone[0][0], _Typing(place, left_out), choices)
    raise _disagreement(choices, _Typing(place, left_out))


def _target_of(choices: Sequence[_Choice], release: _Release) -> RollbackTarget:
    entries = {c.host: _own(c, choices, release) for c in choices}
    return RollbackTarget(*release, {h: e for h, e in entries.items() if e})


def named_target(
    fleet: Sequence[Observed], release: str, place: str, left_out: Collection[str] = (), *, partly: bool = False
) -> RollbackTarget:
    """The release that a person named, as each host's own record has it, proven good or not.

    Raises PreflightFailed, naming the hosts, if one has no entry of it (unless `partly`), or has another image under
    this tag.
    """
    choices = [_choice(seen) for seen in fleet]
    entries = {c.host: e for c in choices if (e := _remembered(c, release))}
    if not entries:
        known = dict.fromkeys(e.release for c in choices for e in c.record.entries)
        raise PreflightFailed(
            f"no host remembers {release}",
            details=[f"remembered: {', '.join(known)}"] if known else (),
            hint=f"relman deploy {shlex.quote(release)} {place} deploys it from the registry",
        )
    if (lacking := [c.host for c in choices if c.host not in entries]) and not partly:
        raise _unknown_to(lacking, release, _Typing(place, left_out))
    manifests = {e.manifest for e in entries.values()}
    if len(manifests) > 1:
        raise PreflightFailed(
            f"the hosts do not remember the same image under the tag {release}",
            details=[f"{h}: {e.manifest}, deployed at {e.at} by {e.by}" for h, e in entries.items()],
            hint="find out which one is right, and leave the other hosts out: --exclude HOST --reason WHY",
        )
    return RollbackTarget(release, manifests.pop(), entries)


def before(record: HostRecord, leaving: Deployed) -> Deployed | None:
    """The newest release proven good on this host before `leaving`, or None. The same release, settings and
    route do not count."""
    ids = [e.id for e in record.entries]
    older = record.entries[: ids.index(leaving.id)] if leaving.id in ids else record.entries
    return next((e for e in reversed(older) if e.proven and not _alike(e, leaving)), None)


def _alike(one: Deployed, other: Deployed) -> bool:
    return one.manifest == other.manifest and one.route == other.route and same_run(one.settings, other.settings)


def crossed(record: HostRecord, target: Deployed) -> tuple[Deployed, ...]:
    """The entries of this host that a rollback to `target` goes back past; oldest first."""
    ids = [e.id for e in record.entries]
    if record.current not in ids:
        return ()
    return record.entries[ids.index(target.id) + 1 : ids.index(record.current) + 1]


def unsafe_tasks(entries: Mapping[str, Sequence[Deployed]]) -> tuple[str, ...]:
    """The tasks in these entries that are not marked rollback_safe, as `migrate of 118`; with the hosts if not all have
    them."""
    unsafe = {
        (host, f"{t.name} of {e.release}"): None
        for host, own in entries.items()
        for e in own
        for t in e.settings.tasks
        if not t.rollback_safe
    }
    says = hosts_by(unsafe)
    return tuple(n if len(hosts) == len(entries) else f"{n} (on {', '.join(hosts)})" for n, hosts in says.items())


def _choice(seen: Observed) -> _Choice:
    serving = seen.record.serving
    return _Choice(seen.host, seen.record, serving, before(seen.record, serving) if serving else None)


def _own(choice: _Choice, fleet: Sequence[_Choice], release: _Release) -> Deployed | None:
    """This host's entry of the agreed release: the serving one, unless the others return to other settings of that
    release."""
    if _release(choice.proposal) != release:
        return choice.serving
    if _release(choice.serving) != release or choice.serving is None:
        return choice.proposal
    reached = {c.proposal.id for c in fleet if c is not choice and c.proposal}
    return choice.serving if choice.serving.id in reached else choice.proposal


def _remembered(choice: _Choice, release: str) -> Deployed | None:
    """The serving entry if it is this release; else its newest entry, preferably a proven one."""
    if choice.serving and choice.serving.release == release:
        return choice.serving
    own = [e for e in choice.record.entries if e.release == release]
    return next((e for e in reversed(own) if e.proven), own[-1] if own else None)


def _require_any(choices: Sequence[_Choice]) -> None:
    serving = list(dict.fromkeys(c.serving.release for c in choices if c.serving))
    if not serving:
        raise PreflightFailed(
            "nothing was deployed here, so there is nothing to roll back to",
            hint="relman releases lists what can be deployed",
        )
    if not any(c.proposal for c in choices):
        raise PreflightFailed(
            f"no release before {', '.join(serving)} is proven good",
            hint="deploy one of your choice: relman deploy TAG; relman releases lists them",
        )


def _unknown_to(
    hosts: Sequence[str], release: str, typing: _Typing, choices: Sequence[_Choice] = ()
) -> PreflightFailed:
    """The error for hosts without an entry of the release that was named, or that the other `choices` agree on."""
    one = len(hosts) == 1
    return PreflightFailed(
        f"{', '.join(hosts)} {'has' if one else 'have'} no entry of {'its' if one else 'their'} own for {release}, and "
        "the settings of another host are not used there",
        details=[_line(c) for c in choices],
        hint=" ".join(_without(hosts, release, typing, named=not choices)),
    )


def _without(hosts: Collection[str], release: str, typing: _Typing, *, named: bool) -> Iterator[str]:
    """The commands that roll back without these hosts, and then bring them to the release."""
    tag = shlex.quote(release)
    to = f" --to {tag}" if named else ""
    out = [*typing.left_out, *(h for h in hosts if h not in typing.left_out)]
    excluded = "".join(f" --exclude {h}" for h in out) + (" --reason WHY" if out else "")
    yield f"relman rollback {typing.place}{to}{excluded}"
    if hosts:
        only = "".join(f" --only {h}" for h in hosts)
        yield f"goes back without {'it' if len(hosts) == 1 else 'them'}; then relman deploy {tag} {typing.place}{only}"


def _disagreement(choices: Sequence[_Choice], typing: _Typing) -> PreflightFailed:
    releases = dict.fromkeys(c.proposal.release for c in choices if c.proposal)
    lacking = {r: [c.host for c in choices if _remembered(c, r) is None] for r in releases}
    best = [r for r in releases if not lacking[r]] or list(releases)
    ways = [" ".join(_without(lacking[r], r, typing, named=True)) for r in best]
    return PreflightFailed(
        "the hosts do not agree on the release to go back to",
        details=[_line(c) for c in choices],
        hint=f"choose: {'; or '.join(ways)}",
    )


def _line(choice: _Choice) -> str:
    """One host's proposal, for people."""
    if choice.serving is None:
        return f"{choice.host}: nothing was deployed there"
    if choice.proposal is None:
        return f"{choice.host}: {choice.serving.release} -> none before it is proven good there"
    return f"{choice.host}: {choice.serving.release} -> {choice.proposal.release} ({choice.proposal.manifest.short})"
