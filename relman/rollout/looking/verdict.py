"""Everything that is wrong with a fleet, the gravest first, each with the command that resolves it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from relman.model.errors import Conclusion, Drift, Interrupted, MixedFleet, NotServing, Unhealthy, Unknown
from relman.rollout.conclusion import hosts_in_words
from relman.rollout.looking.advice import CommandScope, one_release, recover, way_out
from relman.rollout.looking.condition import DARK, UNREACHED, Condition
from relman.rollout.looking.status import HostStatus

GRAVEST = (NotServing, Interrupted, MixedFleet, Drift, Unknown, Unhealthy)
WORDS: Mapping[type[Conclusion], str] = {
    NotServing: "not serving",
    Interrupted: "interrupted",
    MixedFleet: "mixed",
    Drift: "drift",
    Unknown: "unknown",
    Unhealthy: "unhealthy",
}
"""Each kind of finding, in a word."""

_KINDS: Mapping[Condition, type[Conclusion]] = {
    **dict.fromkeys((*DARK, *UNREACHED), NotServing),
    Condition.DRIFTED: Drift,
    Condition.DOUBLED: Drift,
    Condition.UNKNOWN: Unknown,
    Condition.PAUSED: Unhealthy,
    Condition.UNHEALTHY: Unhealthy,
    Condition.UNASKED: Unknown,
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: the class of conclusion, a sentence, a line for each host where they differ, and what to
    type next; `names_environment` is whether the sentence does."""

    kind: type[Conclusion]
    what: str
    details: tuple[str, ...]
    way_out: str
    names_environment: bool = False

    def conclusion(self) -> Conclusion:
        """The finding as an error."""
        return self.kind(self.what, details=self.details, hint=self.way_out)


def findings(rows: Sequence[HostStatus], place: CommandScope) -> list[Finding]:
    """All findings, in the order of GRAVEST."""
    found = list(_unknown([r for r in rows if r.state is Condition.UNKNOWN]))
    for service in dict.fromkeys(r.service for r in rows if r.state is not Condition.UNKNOWN):
        found += _of([r for r in rows if r.service == service and r.state is not Condition.UNKNOWN], service, place)
    return sorted(found, key=lambda f: GRAVEST.index(f.kind))


def within(rows: Sequence[HostStatus], most: str) -> bool:
    """Whether at most `most` hosts (a count, or a share in per cent) are unknown or unhealthy."""
    hosts = {r.host for r in rows}
    bad = {r.host for r in rows if _KINDS.get(r.state) in (Unknown, Unhealthy)}
    if most.endswith("%"):
        return len(bad) * 100 <= int(most[:-1]) * len(hosts)
    return len(bad) <= int(most)


def verdict(found: Sequence[Finding], *, forgiven: bool = False) -> Finding | None:
    """The finding that decides the exit code; if `forgiven`, unknown and unhealthy hosts do not count."""
    return next((f for f in found if not (forgiven and f.kind in (Unknown, Unhealthy))), None)


def _unknown(rows: Sequence[HostStatus]) -> Iterator[Finding]:
    by_hint: dict[str, list[HostStatus]] = {}
    for row in rows:
        by_hint.setdefault(row.hint, []).append(row)
    for hint, same in by_hint.items():
        which = f"is {_hosts(same)} up, and does its sshd answer?"
        yield _finding(Unknown, f"what runs on {_hosts(same)} is not known", same, hint or which)


def _of(rows: Sequence[HostStatus], service: str, place: CommandScope) -> Iterator[Finding]:
    """The findings for one service. While a host is interrupted, the only advice is to recover."""
    name = f"{service}: " if place.several else ""
    stuck = [r for r in rows if r.interrupted]
    if stuck:
        yield _finding(Interrupted, f"{name}a change of {_hosts(stuck)} was interrupted", [], recover(service, place))
    for state in Condition:
        there = [r for r in rows if r.state is state]
        if state in _KINDS and there and (state in (*DARK, *UNREACHED) or not stuck):
            text = f"{name}{_sentence(state, there, rows, service, place)}"
            mends = stuck and state is not Condition.UNPROXIED
            out = recover(service, place) if mends else way_out(state, there, rows, place)
            nowhere = state is Condition.ABSENT and len(there) == len(rows)
            yield replace(_finding(_KINDS[state], text, there, out), names_environment=nowhere)
    if not stuck:
        yield from _mixed(rows, name, place)


def _sentence(
    state: Condition, rows: Sequence[HostStatus], of_it: Sequence[HostStatus], service: str, place: CommandScope
) -> str:
    hosts, one = _hosts(rows), len(rows) == 1
    if state is Condition.ABSENT:
        if len(rows) == len(of_it):
            return f"{service} is not deployed in {place.environment}"
        return f"{hosts} {'serves' if one else 'serve'} nothing: new in the inventory, or reinstalled"
    if state in DARK and all(r.lacking for r in rows):
        without = ", ".join(dict.fromkeys(p for r in rows for p in r.lacking))
        return f"{hosts} {'runs' if one else 'run'} {service} without {without}"
    if state in DARK:
        return f"{hosts} {'serves' if one else 'serve'} nothing"
    return {
        Condition.UNPROXIED: f"the proxy that leads to {service} is not well on {hosts}",
        Condition.UNROUTED: f"no request reaches {service} on {hosts}",
        Condition.DRIFTED: f"what runs on {hosts} is not what was deployed",
        Condition.DOUBLED: f"more than one container of {service} runs on {hosts}",
        Condition.PAUSED: f"{service} is paused on {hosts}",
        Condition.UNASKED: f"the health of {service} on {hosts} cannot be checked",
    }.get(state, f"{service} is not healthy on {hosts}")


def _mixed(rows: Sequence[HostStatus], name: str, place: CommandScope) -> Iterator[Finding]:
    releases: dict[str, list[HostStatus]] = {}
    for row in rows:
        if row.recorded_release:
            releases.setdefault(row.recorded_release, []).append(row)
    if len(releases) > 1 and not any(r.under_way for r in rows):
        each = "; ".join(f"{release} on {_hosts(hosts)}" for release, hosts in releases.items())
        known = [r for r in rows if r.recorded_release]
        what = f"{name}{known[0].service} runs in {len(releases)} releases: {each}"
        yield _finding(MixedFleet, what, [], one_release(known, place))


def _finding(kind: type[Conclusion], text: str, rows: Sequence[HostStatus], out: str) -> Finding:
    """A finding; a reason that all hosts share is stated once."""
    whys = dict.fromkeys(r.why for r in rows if r.why and r.state is not Condition.ABSENT)
    if len(whys) == 1:
        return Finding(kind, f"{text}: {next(iter(whys))}", (), out)
    return Finding(kind, text, tuple(f"{r.host}: {r.why}" for r in rows if r.why in whys), out)


def _hosts(rows: Sequence[HostStatus]) -> str:
    return hosts_in_words([r.host for r in rows])
