"""The gate of the promotion order: the image was proven good in another environment first.

It is decided by the hosts' records and not by a statement in the registry: a rollback withdraws the proof at once,
deploying needs no signing key, and the records describe what actually runs.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from relman.evidence.assessment import Facts, ServedIn
from relman.evidence.gates.test_results import span
from relman.evidence.gates.verdict import Verdict, passes, stops
from relman.evidence.untrusted import moment
from relman.model.image import ManifestDigest
from relman.model.policy import ProvenIn
from relman.model.state_dir.record import HostRecord

_NOT_ASKED = ServedIn(why="its hosts were not asked")


def proven_in(rule: ProvenIn, facts: Facts, now: datetime) -> Verdict:
    """Pass if the image served long enough, proven good, on every host of the other environment."""
    gate, name = "proven-in", rule.environment
    served = facts.served.get(name, _NOT_ASKED)
    deploy = f"Deploy it there: relman deploy {facts.subject.tag or 'TAG'} -e {name}"
    if served.why or not served.records:
        why = served.why or "it has no hosts"
        return stops(
            gate, f"whether it is proven good in {name} is not known: {why}", f"Make sure that {name} answers."
        )
    times = {h: proven_for(r, facts.subject.manifest, now) for h, r in served.records.items()}
    if missing := [host for host, time in times.items() if time is None]:
        return stops(gate, f"it is not proven good in {name}, on {', '.join(missing)}", deploy)
    shortest = min(time for time in times.values() if time is not None)
    wanted = timedelta(seconds=rule.seconds)
    said = f"it served in {name} for {span(shortest)}, proven good; {span(wanted)} are required"
    if shortest < wanted:
        return stops(gate, said, f"Wait for another {span(wanted - shortest)}.")
    return passes(gate, said)


def proven_for(record: HostRecord, manifest: ManifestDigest, now: datetime) -> timedelta | None:
    """How long an image has served on a host, by its record; None if it is not proven good there.

    The time is counted from its deployment to the next one, or to now. The times are those of the deployers' clocks;
    one in the future counts as now.
    """
    found: list[timedelta] = []
    for place, entry in enumerate(record.entries):
        if entry.manifest != manifest or not entry.proven:
            continue
        after = record.entries[place + 1 : place + 2] if entry.id != record.current else ()
        start, end = moment(entry.at), moment(after[0].at) if after else now
        if start and end:
            found.append(max(min(end, now) - start, timedelta()))
    return max(found, default=None)
