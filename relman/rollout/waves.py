"""Change the hosts wave by wave, until one fails."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

from relman.model.errors import Cancelled, RelmanError
from relman.model.plan import Action, Outcome, Result, Step, Wave
from relman.model.settings import OnFailure
from relman.model.strategy import Check
from relman.rollout import local_commands, steps
from relman.rollout.after_failure import go_back
from relman.rollout.commit import retire, serve
from relman.rollout.fleet import Gathered, Session
from relman.rollout.health import require_healthy, watched_of
from relman.rollout.progress import Work
from relman.rollout.proxy import user_check
from relman.rollout.proxy.counting import Counting, counting
from relman.rollout.steps import Change, Ready

T = TypeVar("T")
_LOOK_EVERY = 5.0
_NOT_PUT_BACK = (Result.FAILED, Result.NOT_SERVING, Result.UNKNOWN)


def do_waves(work: Work) -> None:
    """Run one wave after the other, until all are done, one fails, or a person stops it."""
    last = work.plan.waves[-1]
    for wave in work.plan.waves:
        if work.cancel.is_set():
            return
        (_switch if wave.both else _do)(work, wave)
        if not (_may_go_on(work, wave) and _proved(work, wave) and _ended(work, wave)):
            return
        if wave is not last and wave.pause:
            work.watcher.say(f"waiting {wave.pause:g} s before the next hosts")
            work.cancel.wait(wave.pause)


def _do(work: Work, wave: Wave) -> None:
    _note(work, wave, _begin(work, wave, steps.do))


def _begin(work: Work, wave: Wave, what: Callable[..., T]) -> Gathered[T]:
    """`do` or `prepare` of steps.py on all hosts of the wave."""
    by_host = _steps(wave)
    work.begun.update(by_host)

    def one(session: Session) -> T:
        host = session.host.name
        image = work.images.get(host, "")
        return what(session, work.plan, by_host[host], work.seen[host], image, work.cancel, work.watcher)

    return work.fleet.each(one, by_host)


def _steps(wave: Wave) -> dict[str, Step]:
    return {s.host: s for s in wave.steps}


def _note(work: Work, wave: Wave, done: Gathered[Change]) -> None:
    by_host = _steps(wave)
    work.changed.update(done.answers)
    work.failures.update(done.errors)
    for host, change in done.answers.items():
        work.watcher.host(host, "done")
        work.outcomes[host] = Outcome(
            host,
            Result.CHANGED,
            by_host[host].entry.release,
            gap=change.gap,
            gap_of=change.gap_of,
            boot=change.boot,
            unasked=change.unasked,
        )


def _switch(work: Work, wave: Wave) -> None:
    """Have healthy new containers beside the old ones on all hosts; only then let the proxies send them the
    requests."""
    by_host = _steps(wave)

    def switch(session: Session) -> Change:
        step, made = by_host[session.host.name], prepared.answers[session.host.name]
        if work.cancel.is_set():
            raise Cancelled("cancelled before the switch")
        if step.action is not Action.VERIFY:
            work.watcher.host(step.host, "switching")
            serve(session, step, made.change.units, made.standing, work.cancel, unasked=bool(made.change.unasked))
            if session.lease and step.old:
                session.lease.tell(
                    f"{session.lease.lock.message}: it serves, and {step.old_release} still runs beside it"
                )
        return made.change

    prepared: Gathered[Ready] = _begin(work, wave, steps.prepare)
    work.failures.update(prepared.errors)
    if not prepared.errors:
        _note(work, wave, work.fleet.each(switch, by_host))


def _ended(work: Work, wave: Wave) -> bool:
    """Stop the old containers that still run beside the new ones."""
    due = {s.host: s for s in wave.steps if wave.both and s.action is not Action.VERIFY}
    errors = work.fleet.each(lambda session: retire(session, due[session.host.name]), due).errors
    work.failures.update(errors)
    return not errors


def _may_go_on(work: Work, wave: Wave) -> bool:
    """Whether the next wave may start: no failures, or a tolerated number, all rolled back, and none in a canary."""
    failed = [s.host for s in wave.steps if s.host in work.failures]
    if not failed:
        return True
    tolerated = work.plan.on_failure is OnFailure.CONTINUE or len(work.failures) <= work.plan.max_failures
    if wave.canary or wave.both or not tolerated or work.cancelled:
        return False
    go_back(work, failed)
    return all(work.outcomes[host].result not in _NOT_PUT_BACK for host in failed)


def _proved(work: Work, wave: Wave) -> bool:
    """Watch the hosts for the bake time, then run the checks; a failure counts for all of them."""
    try:
        with counting(work.fleet, _hosts(work, wave) if any(c.proxy for c in wave.checks) else ()) as users:
            _bake(work, wave, users)
            for check in wave.checks:
                _check(work, wave, check, users)
    except RelmanError as error:
        work.failures.update(dict.fromkeys(_hosts(work, wave), error))
        return False
    return True


def _check(work: Work, wave: Wave, check: Check, users: Counting) -> None:
    work.watcher.say(f"checking {_name(wave)}: {local_commands.in_words(check)}")
    local_commands.ask(check, local_commands.variables(work.plan), work.cancel)
    if check.proxy:
        seen = user_check.ask(check.proxy, users, check.timeout, work.cancel)
        work.watcher.say(f"its users: {seen.traffic.text}")


def _bake(work: Work, wave: Wave, users: Counting) -> None:
    if wave.both and work.cancel.is_set():
        raise Cancelled("cancelled after the switch")
    if not wave.bake:
        return
    hosts, left = _hosts(work, wave), wave.bake
    work.watcher.say(
        f"watching {', '.join(hosts)} for {wave.bake:g} s{', while the old containers still run' if wave.both else ''}"
    )
    while left > 0:
        if work.cancel.wait(min(left, _LOOK_EVERY)):
            raise Cancelled(f"cancelled while {_name(wave)} was watched")
        left -= _LOOK_EVERY
        for count in (users, work.counting):
            count.follow()
        _require_healthy(work, wave, hosts)


def _name(wave: Wave) -> str:
    return "the new release" if wave.both else "the canary"


def _hosts(work: Work, wave: Wave) -> list[str]:
    """All canaries of the rollout up to this wave."""
    canaries = [s.host for each in work.plan.waves if each.canary for s in each.steps]
    return [h for h in canaries if h in work.changed] if wave.canary else [s.host for s in wave.steps]


def _require_healthy(work: Work, wave: Wave, hosts: Collection[str]) -> None:
    entries = {s.host: s.entry for s in work.plan.steps}

    def one(session: Session) -> None:
        host = session.host.name
        for watched in watched_of(entries[host], work.changed[host].units):
            require_healthy(session, watched)

    work.fleet.each(one, hosts).all(f"watching {_name(wave)}")
