"""What is to be done on one host, from what was observed there. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from relman.model.container import Container
from relman.model.grants.secrets import changed
from relman.model.plan import Action, Observed, Step
from relman.model.settings import DeploySettings
from relman.model.settings_diff import same_run
from relman.model.state_dir.lock import OldContainer
from relman.model.state_dir.record import Deployed
from relman.rollout.planning.replacement_order import turns
from relman.rollout.planning.rollback_target import before


def step_of(seen: Observed, entry: Deployed, *, verify: bool, foreign: Sequence[Container] = ()) -> Step | None:
    """The step for this host, or None if `entry` serves there already, with these settings, and was proven good."""
    old = seen.in_place
    current = seen.record.serving
    if old and current and all(c.running for c in old) and _same(old, current, entry):
        if (current.proven or not verify) and not seen.extra:
            return None
        running = tuple(_running(c, current) for c in old)
        # The rollout follows the release's settings of today, not those in this host's record.
        same = replace(current, by=entry.by, settings=entry.settings).among(entry.hosts)
        return Step(
            seen.host, Action.VERIFY, same, running, current.release, before=current, restores=_restores(seen, same)
        )
    return step_to(seen, entry, foreign)


def step_to(seen: Observed, entry: Deployed, foreign: Sequence[Container] = ()) -> Step:
    """The step for this host that makes new containers of `entry` serve, where nothing is in place in that of the
    `foreign` ones."""
    old, current = seen.in_place or foreign, seen.record.serving
    if not old:
        return Step(seen.host, Action.START, entry, before=current, restores=_restores(seen, entry))
    return Step(
        host=seen.host,
        action=Action.REPLACE,
        entry=entry,
        old=tuple(_running(c, current) for c in old),
        old_release=current.release if current else ", ".join(c.name for c in old),
        turns=turns(current.settings if current else None, entry.settings, list(dict.fromkeys(c.process for c in old))),
        before=current,
        restores=_restores(seen, entry),
        adopts=tuple(c.name for c in foreign),
    )


def _running(container: Container, current: Deployed | None) -> OldContainer:
    timeout = (current.settings if current else DeploySettings()).run_of(container.process).stop_timeout
    return OldContainer(container.id, container.process, container.restart_policy, timeout)


def _restores(seen: Observed, entry: Deployed) -> Deployed | None:
    """What a rollback would return to after `entry` was deployed and proven good."""
    return before(seen.record.deployed(entry), entry)


def _same(old: Sequence[Container], current: Deployed, entry: Deployed) -> bool:
    return (
        all(c.image_id == entry.image_id for c in old)
        and current.manifest == entry.manifest
        and same_run(current.settings, entry.settings)
        and current.route == entry.route
        and not changed(entry.settings.every_secret, current.secrets, entry.secrets)
        and {c.id for c in old} == current.ids
    )
