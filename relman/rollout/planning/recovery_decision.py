"""What an interrupted deployment left behind, and whether to finish or undo it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from relman.model.container import Container
from relman.model.plan import Interruption, Leftover, Observed
from relman.model.state_dir.lock import Intent, Lock, Phase
from relman.model.state_dir.record import Deployed

AS_ASKED = "as you asked"


@dataclass(frozen=True)
class RecoveryDecision:
    """What was interrupted, whether to finish it (else undo it), and why.

    Hosts in `recorded` are finished in any case, because their records say that the change is done. `asked` is whether
    a person decided, for all hosts.
    """

    interruptions: tuple[Interruption, ...]
    finish: bool
    why: str
    recorded: frozenset[str] = frozenset()
    asked: bool = False


def interruptions(fleet: Sequence[Observed]) -> tuple[Interruption, ...]:
    """What was interrupted on each host, by its lock."""
    return tuple(_interruption(seen, seen.lock.lock) for seen in fleet if seen.lock and seen.lock.lock)


def _interruption(seen: Observed, lock: Lock) -> Interruption:
    intent = lock.intent if lock.phase in (Phase.CHANGING, Phase.RETURNING) else None
    return Interruption(seen.host, _leftover(seen, intent), intent, lock.phase)


def _leftover(seen: Observed, intent: Intent | None) -> Leftover:
    if intent is None:
        return Leftover.NOTHING
    # One that is paused was so before: nobody died there.
    there = [c for c in (*seen.containers, *seen.foreign) if c.running or c.paused]
    names, ids = {c.name for c in there}, {c.id for c in there}
    made = [u.name in names for u in intent.news]
    kept = [o.container in ids for o in intent.olds]
    if all(made):
        return Leftover.BOTH if any(kept) else Leftover.NEW
    if dark(intent, there):
        return Leftover.GAP
    return Leftover.MIXED if any(made) else Leftover.OLD


def dark(intent: Intent, running: Collection[Container]) -> frozenset[str]:
    """The processes that had their place and of which nothing is `running`, old or new; "" too, where nothing is at
    all."""
    names, ids = {c.name for c in running}, {c.id for c in running}
    alive = {u.process for u in intent.news if u.name in names} | {o.process for o in intent.olds if o.container in ids}
    had = {o.process for o in intent.olds}
    return frozenset(had - alive if alive else had | {""})


def decide(found: Sequence[Interruption], fleet: Sequence[Observed], finish: bool | None) -> RecoveryDecision:
    """Finish what every host has finished except for its record, by its own container or record; undo everything else.
    Pure.

    One host can never make another finish; it can only make the others go back, and then the reason names it. A host
    with the change in its record is not undone. A person's decision (`finish`) takes precedence.
    """
    if finish is not None:
        return RecoveryDecision(tuple(found), finish, AS_ASKED, asked=True)
    begun = {i.host: i.intent for i in found if i.intent}
    recorded = frozenset(i.host for i in found if i.intent and _recorded(i, i.intent, fleet))
    if returning := [i.host for i in found if i.intent and i.phase is Phase.RETURNING]:
        return RecoveryDecision(tuple(found), False, f"{_going_back(returning)} already rolling back", recorded)
    if len({(e.release, e.manifest) for e in (intent.entry for intent in begun.values())}) > 1:
        each = ", ".join(f"{host}: {intent.entry.release}" for host, intent in begun.items())
        return RecoveryDecision(
            tuple(found), False, f"the hosts were interrupted in different deployments ({each})", recorded
        )
    shows = recorded | {i.host for i in found if i.intent and i.leftover in (Leftover.NEW, Leftover.BOTH)}
    behind = [o.host for o in fleet if o.host not in shows and (o.host in begun or not _serves(o, begun))]
    if behind:
        return RecoveryDecision(tuple(found), False, f"the new release does not run on {', '.join(behind)}", recorded)
    return RecoveryDecision(tuple(found), bool(begun), "the new release runs on every host", recorded)


def _recorded(found: Interruption, intent: Intent, fleet: Sequence[Observed]) -> bool:
    """Whether the host's own record says that this change is done."""
    own = next(o.record for o in fleet if o.host == found.host)
    return found.phase is Phase.CHANGING and own.current == intent.entry.id


def _serves(seen: Observed, begun: Mapping[str, Intent]) -> bool:
    """Whether a host on which nothing was begun has the release by its own record."""
    serving = seen.record.serving
    return serving is not None and all(serving.manifest == intent.entry.manifest for intent in begun.values())


def _going_back(hosts: Sequence[str]) -> str:
    return f"{', '.join(hosts)} {'was' if len(hosts) == 1 else 'were'}"


def everywhere(entry: Deployed, fleet: Collection[Observed]) -> bool:
    """Whether every host either began with `entry` or already serves it: only then is it proven good."""
    intents = {i.host: i.intent for i in interruptions(tuple(fleet)) if i.intent}
    begun = {host for host, intent in intents.items() if intent.entry.manifest == entry.manifest}
    serving = {o.host for o in fleet if o.record.serving and o.record.serving.manifest == entry.manifest}
    return begun | serving == {o.host for o in fleet}
