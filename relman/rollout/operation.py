"""One deployment or rollback, from taking the locks to releasing them.

The steps, each marked where it is done:

1. Start pulling the image on every host (images/image_pull.py).
2. Take the lock of every host (state/locks.py).
3. Observe every host (looking/observe.py), and remove what an interrupted rehearsal left.
4. Make the plan, and check what each host needs for it (planning/).
5. Check that it is the plan that a person agreed to, and that the release tag has not moved.
6. Remove containers of tasks that an interrupted deployment left, and draft the first intents.
7. Wait for the image on every host.
8. Run the hooks and tasks that come before the first change (executor.py).
9. Change the hosts, wave by wave (waves.py), each in the steps of steps.py.
10. Run the tasks that come after the last change; after a failure, roll back (after_failure.py).
11. Write the hosts' records, and prune (prune.py).
12. Write the journals, and run the hooks after the end.
13. Release the locks; hosts that do not answer then are unknown.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from relman.docker.creation import PREDEFINED
from relman.hosts.state_dir import location
from relman.model.errors import PreflightFailed
from relman.model.grants.secrets import texts
from relman.model.plan import Action, Observed, Outcome, Plan, Result, Step
from relman.model.state_dir.lock import Phase
from relman.registry.auth import Login
from relman.rollout import tasks
from relman.rollout.conclusion import Happened
from relman.rollout.executor import carry_out
from relman.rollout.fleet import SILENT, Fleet, Session, Watcher
from relman.rollout.images.image_pull import Fetching, Wanted
from relman.rollout.looking.askable import bridge_of, mute
from relman.rollout.looking.observe import observe
from relman.rollout.new_containers import intended
from relman.rollout.planning.new_volumes import check_volumes, unproven_volumes
from relman.rollout.planning.planner import Asked
from relman.rollout.planning.preflight import check_health, check_networks
from relman.rollout.progress import Report, Work, report_of
from relman.rollout.proxy.preflight import require_proxies
from relman.rollout.prune import note_hosts
from relman.rollout.rehearsal.containers import clear_left
from relman.rollout.state.journal import Journal
from relman.rollout.state.locks import Patience, locked

Planner = Callable[[Sequence[Observed]], Plan]


@dataclass(frozen=True)
class Operation:
    """What a deployment or rollback needs besides the fleet: what was asked for, and how to plan it.

    `message` is shown to others who find the lock. `planned` is called with the plan before anything changes.
    `before_change` raises if the release is no longer what was resolved (a moved tag). `wanted` is the image to pull
    during steps 2 to 6. `wait_lock` is how many seconds to wait for another's lock.
    """

    asked: Asked
    plan: Planner
    message: str
    watcher: Watcher = SILENT
    cancel: threading.Event = field(default_factory=threading.Event)
    planned: Callable[[Plan], None] = lambda _: None
    before_change: Callable[[], None] | None = None
    wanted: Wanted | None = None
    login: Login | None = None
    wait_lock: float = 0.0


def preview(fleet: Fleet, operation: Operation) -> Plan:
    """Return the plan as it would be carried out now; nothing is locked and nothing changes."""
    seen = look(fleet, operation.asked, changing=True)
    fleet.each(partial(_require_room, operation.asked)).all("looking at the state directories")
    by_host = {o.host: o for o in seen}
    plan = _settled(fleet, operation, _planned(operation, seen), by_host)
    _fetching(fleet, operation).require(plan, by_host)
    return plan


def _fetching(fleet: Fleet, operation: Operation) -> Fetching:
    return Fetching(fleet, operation.watcher, operation.cancel, operation.login)


def _require_room(asked: Asked, session: Session) -> None:
    location.require_room(session.connection, asked.environment, asked.service)


def run(fleet: Fleet, operation: Operation, agreed: Plan | None = None) -> Report:
    """Lock, observe, plan, and carry the plan out; with `agreed`, only if it is still the plan that a person agreed to.

    Raises RelmanError if nothing was changed; otherwise the report contains the error.
    """
    fetching = _fetching(fleet, operation)
    # Step 1.
    if operation.wanted:
        fetching.begin(operation.wanted)
    try:
        return _run(fleet, operation, agreed, fetching)
    finally:
        fetching.give_up()


def _run(fleet: Fleet, operation: Operation, agreed: Plan | None, fetching: Fetching) -> Report:
    asked, patience = operation.asked, Patience(operation.wait_lock, operation.cancel)
    told = operation.login.auth_config if operation.login else {}
    brought = {value for session in fleet.sessions.values() for value in session.secrets.values()}
    secrets = [*(told[key] for key in ("password", "identitytoken") if key in told), *texts(brought)]
    journal = Journal(fleet, asked, operation.watcher, secrets=secrets)
    # Step 2.
    with locked(fleet, asked, operation.message, operation.watcher, patience=patience) as silent:
        happened = _locked(fleet, operation, agreed, fetching, journal)
    # Step 13: the locks are released.
    return report_of(journal.released(happened, silent))


def _locked(fleet: Fleet, operation: Operation, agreed: Plan | None, fetching: Fetching, journal: Journal) -> Happened:
    since = time.monotonic()
    # Step 3: observe.
    seen = look(fleet, operation.asked, changing=True)
    clear_left(fleet, operation.asked, seen)
    by_host = {o.host: o for o in seen}
    # Step 4: plan.
    plan = _settled(fleet, operation, _planned(operation, seen), by_host)
    # Step 5: the agreement, and the release tag.
    if agreed:
        require_fresh(agreed, plan)
    operation.planned(plan)
    if not plan.steps:
        note_hosts(fleet, plan, by_host, operation.watcher)
        return Happened(plan, tuple(Outcome(h, Result.UNCHANGED, plan.release) for h in plan.unchanged))
    if operation.before_change:
        operation.before_change()
    # Step 6: leftovers, and the first intents.
    tasks.clear(fleet, seen, operation.asked.place)
    _prepare(fleet, plan, by_host)
    # Step 7: the image.
    images = fetching.finish(plan, by_host, since)
    # Steps 8 to 12.
    journal.seen = by_host
    return carry_out(Work(plan, fleet, by_host, operation.watcher, operation.cancel, journal, images))


def _planned(operation: Operation, seen: Sequence[Observed]) -> Plan:
    return replace(operation.plan(seen), copies=tuple((o.host, copy) for o in seen for copy in o.copies))


def _prepare(fleet: Fleet, plan: Plan, seen: Mapping[str, Observed]) -> None:
    """Draft the first wave's intents while the images are being pulled."""
    for step in plan.waves[0].steps:
        session = fleet.sessions[step.host]
        if session.lease and step.action is not Action.VERIFY:
            intent = intended(plan, step, seen[step.host])
            session.connection.aside(partial(session.lease.prepare, Phase.CHANGING, intent))


def _settled(fleet: Fleet, operation: Operation, plan: Plan, seen: Mapping[str, Observed]) -> Plan:
    """The plan, after each host was asked for what its step needs there.

    Raises PreflightFailed if a proxy or a user-defined network is missing or, except in a rollback, the new container's
    health cannot be checked, or a new volume would lie beside one of compose's.
    """
    require_proxies(fleet, plan)
    steps = {s.host: s for s in plan.steps}

    def one(session: Session) -> tuple[list[str], str]:
        step = steps[session.host.name]
        named = dict.fromkeys(n for run in step.entry.settings.runs for n in run.networks)
        wanted = [n for n in named if n not in PREDEFINED]
        known = {name: found for name in wanted if (found := session.engine.network(name))}
        missing = [name for name in wanted if name not in known]
        return missing, "" if missing else mute(session, step, {**known, **bridge_of(seen[step.host].in_place)})

    runs = {host: step.entry.settings.runs for host, step in steps.items()}
    hosts = [host for host, its in runs.items() if any(r.networks or r.health.probe.by_address for r in its)]
    found = fleet.each(one, hosts).all("looking at the networks")
    check_networks(plan, {host: missing for host, (missing, _) in found.items()})
    asked = [host for host, step in steps.items() if unproven_volumes(step)]
    present = fleet.each(lambda session: session.engine.volumes(), asked).all("looking at the volumes")
    plan = check_volumes(plan, present, operation.asked.new_volumes)
    return check_health(plan, {host: why for host, (_, why) in found.items() if why})


def require_fresh(agreed: Plan, plan: Plan) -> None:
    """Raise PreflightFailed, listing every stale host, unless `plan` is what was agreed to. Pure."""
    then, now = ({s.host: s for s in each.steps} for each in (agreed, plan))
    stale = [h for h in dict.fromkeys((*agreed.hosts, *plan.hosts)) if then.get(h) != now.get(h)]
    if not stale and plan.waves == agreed.waves:
        return
    raise PreflightFailed(
        "a host has changed since the plan was shown; nothing was changed",
        details=[f"{h}: stale: {_change(then.get(h), now.get(h))}" for h in stale],
        hint="run it again for the new plan",
    )


def _change(then: Step | None, now: Step | None) -> str:
    if now is None:
        return "it no longer needs a change"
    if then is None:
        return f"it needs a change now ({now.action})"
    if (then.old, then.old_release) != (now.old, now.old_release):
        return f"it ran {then.old_release or 'nothing'} then, and runs {now.old_release or 'nothing'} now"
    return "its plan is no longer the one that was shown"


def look(fleet: Fleet, asked: Asked, *, changing: bool = False) -> tuple[Observed, ...]:
    """Observe every host, in the inventory's order.

    Raises if one cannot be observed or, with `changing`, if its engine is too old for a deployment.
    """

    def one(session: Session) -> Observed:
        seen = partial(observe, session, asked.environment, asked.service, asked.adopt)
        able = [session.engine.require_updates] if changing else []
        found: Observed = session.connection.together(*able, seen)[-1]
        return found

    answers = fleet.each(one).all("looking at the hosts")
    return tuple(answers[h.name] for h in fleet.environment.hosts if h.name in answers)
