"""What a rollback goes back to. Pure: from host records, and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from relman.model.difference import same_run
from relman.model.errors import PreflightFailed
from relman.model.record import Deployed, HostRecord


def rollback_target(records: Sequence[HostRecord]) -> tuple[Deployed, Deployed]:
    """The release that serves (the newest of all hosts), and the newest proven good before it.

    Hosts may disagree after a halted deployment: then what the newest release's hosts ran before it decides.
    Raises PreflightFailed when nothing was deployed, or nothing proven good came before.
    """
    serving = [r.serving for r in records if r.serving]
    if not serving:
        raise PreflightFailed(
            "nothing was deployed here, so there is nothing to roll back to",
            hint="relman releases lists what can be deployed",
        )
    leaving = max(serving, key=lambda e: (e.at, e.id))
    candidates = [target for r in records if (target := before(r, leaving))]
    if not candidates:
        raise PreflightFailed(
            f"no release before {leaving.release} is proven good",
            hint="relman deploy TAG puts a release of your choice there; relman releases lists them",
        )
    return leaving, max(candidates, key=lambda e: (e.at, e.id))


def before(record: HostRecord, leaving: Deployed) -> Deployed | None:
    """The newest release proven good on this host before `leaving`, or None. The same release with the same settings,
    deployed again, is no way back."""
    ids = [e.id for e in record.entries]
    older = record.entries[: ids.index(leaving.id)] if leaving.id in ids else record.entries
    here = own_entry(record, leaving) or leaving
    return next((e for e in reversed(older) if e.proven and not _alike(e, here)), None)


def _alike(one: Deployed, other: Deployed) -> bool:
    return one.manifest == other.manifest and same_run(one.settings, other.settings)


def own_entry(record: HostRecord, target: Deployed) -> Deployed | None:
    """This host's memory of the target: its own settings for that deployment, else for that release."""
    same_deployment = (e for e in record.entries if e.id == target.id)
    same_release = (e for e in reversed(record.entries) if e.manifest == target.manifest and e.proven)
    return next(same_deployment, None) or next(same_release, None)


def crossed(record: HostRecord, leaving: Deployed, target: Deployed) -> tuple[Deployed, ...]:
    """The entries of this host that a rollback from `leaving` to `target` goes back over, the oldest first."""
    ids = [e.id for e in record.entries]
    if leaving.id not in ids:
        return ()
    since = ids.index(target.id) + 1 if target.id in ids else 0
    return record.entries[since : ids.index(leaving.id) + 1]


def unsafe_tasks(entries: Sequence[Deployed]) -> tuple[str, ...]:
    """The tasks of these releases that the release before may not be able to live with, as `migrate of 118`."""
    names = (f"{t.name} of {e.release}" for e in entries for t in e.settings.tasks if not t.rollback_safe)
    return tuple(dict.fromkeys(names))
