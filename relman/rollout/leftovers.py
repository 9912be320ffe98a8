"""What a dead holder of the locks left behind, and whether to finish or to undo it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from relman.model.plan import Interruption, Leftover, Observed
from relman.model.record import Deployed, Intent, Lock, Phase

AS_ASKED = "as you asked"


@dataclass(frozen=True)
class Recovery:
    """What was found interrupted, and whether it is to be finished (else undone). `firm`: nothing that is seen later
    changes that."""

    interruptions: tuple[Interruption, ...]
    finish: bool
    why: str
    firm: bool = False


def interruptions(fleet: Sequence[Observed]) -> tuple[Interruption, ...]:
    """What the locks say was begun, host by host."""
    return tuple(_interruption(seen, seen.lock.lock) for seen in fleet if seen.lock and seen.lock.lock)


def _interruption(seen: Observed, lock: Lock) -> Interruption:
    intent = lock.intent if lock.phase in (Phase.CHANGING, Phase.RETURNING) else None
    return Interruption(seen.host, _leftover(seen, intent), intent, lock.phase)


def _leftover(seen: Observed, intent: Intent | None) -> Leftover:
    if intent is None:
        return Leftover.NOTHING
    there = [c for c in seen.containers if c.running or c.paused]  # one that is paused was so before: nobody died there
    new = any(c.name == intent.new_name for c in there)
    old = any(c.id == intent.old for c in there)
    return {(True, True): Leftover.BOTH, (True, False): Leftover.NEW, (False, True): Leftover.OLD}.get(
        (new, old), Leftover.GAP
    )


def decide(found: Sequence[Interruption], fleet: Sequence[Observed], finish: bool | None) -> Recovery:
    """Finish when a host already says in its record that it is done, or when every host runs the new release; undo what
    was going back already, and all else. A person's own word (`finish`) wins. Pure."""
    begun = [(i, i.intent) for i in found if i.intent]
    if finish is not None:
        return Recovery(tuple(found), finish, AS_ASKED, firm=True)
    if any(i.phase is Phase.RETURNING for i, _ in begun):
        return Recovery(tuple(found), False, "it was going back already", firm=True)
    if any(_recorded(intent, fleet, i.host) for i, intent in begun):
        return Recovery(tuple(found), True, "it had already been recorded as done on a host", firm=True)
    runs = all(i.leftover in (Leftover.NEW, Leftover.BOTH) for i, _ in begun)
    if begun and runs and everywhere(begun[0][1].entry, fleet):
        return Recovery(tuple(found), True, "the new release runs on every host")
    return Recovery(tuple(found), False, "the new release does not run everywhere")


def _recorded(intent: Intent, fleet: Sequence[Observed], host: str) -> bool:
    """Whether a record says that this very change is done. What a rollback goes back to stands in records that it has
    never touched: there only the host's own counts."""
    records = [o.record.current for o in fleet if o.host == host or not intent.rollback]
    return intent.entry.id in records


def everywhere(entry: Deployed, fleet: Collection[Observed]) -> bool:
    """Whether no host is left that neither began with `entry` nor already serves it: only then is it proven good."""
    begun = {i.host for i in interruptions(tuple(fleet)) if i.intent}
    serving = {o.host for o in fleet if o.record.serving and o.record.serving.manifest == entry.manifest}
    return begun | serving == {o.host for o in fleet}
