"""Decide how a command ended, from the outcomes on its hosts: the only place that does. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from relman.model.errors import (
    Cancelled,
    CheckFailed,
    Interrupted,
    MixedFleet,
    NotServing,
    RelmanError,
    RolledBack,
    Unknown,
    Unreachable,
)
from relman.model.plan import Kind, Outcome, Plan, Result
from relman.model.proxy import Users
from relman.model.state_dir.journal import Failed

NO_HOST = ""  # the key of a failure that does not belong to a host

_NOUNS: Mapping[Kind, str] = {
    Kind.DEPLOY: "deployment",
    Kind.ROLLBACK: "rollback",
    Kind.RECOVER: "recovery",
    Kind.REMOVE: "removal",
    Kind.RESTART: "restart",
    Kind.EXEC: "command",
}


_ON_WAVES = (Kind.DEPLOY, Kind.ROLLBACK, Kind.RESTART)


@dataclass(frozen=True)
class Happened:
    """The end of a plan: one outcome for each host, and the failures by host (or NO_HOST).

    `begun` is whether the first host was about to change; `tasks` are those that started; `unsafe` are those of them
    that are not marked rollback_safe. `told` are the failures as the journals contain them, once these are written.
    `users` is what users saw meanwhile, where that was counted.
    """

    plan: Plan
    outcomes: tuple[Outcome, ...]
    failures: Mapping[str, RelmanError] = field(default_factory=dict)
    cancelled: bool = False
    begun: bool = True
    tasks: tuple[str, ...] = ()
    unsafe: tuple[str, ...] = ()
    told: Mapping[str, Failed] = field(default_factory=dict)
    users: Users | None = None

    def of(self, result: Result) -> list[str]:
        """The hosts with this result."""
        return [o.host for o in self.outcomes if o.result is result]


def failed(host: str, error: RelmanError, text: str = "") -> Outcome:
    """The outcome of a host on which something failed: UNKNOWN if it did not answer. `text` says what was being
    done."""
    said = f"{text}: {error.what}" if text else error.what
    if isinstance(error, Unreachable):
        return Outcome(host, Result.UNKNOWN, f"no answer: {said}", error.symptoms)
    return Outcome(host, Result.FAILED, said, error.symptoms)


def silenced(happened: Happened, silent: Mapping[str, RelmanError]) -> Happened:
    """The same, after some hosts did not answer at the end: their state is unknown."""
    outcomes = tuple(_silenced(o) if isinstance(silent.get(o.host), Unreachable) else o for o in happened.outcomes)
    return replace(happened, outcomes=outcomes)


def _silenced(outcome: Outcome) -> Outcome:
    if outcome.result is Result.UNKNOWN:
        return outcome
    before = f"{outcome.result} before" + (f" ({outcome.detail})" if outcome.detail else "")
    return replace(outcome, result=Result.UNKNOWN, detail=f"no answer at the end; {before}")


def in_a_word(error: RelmanError | None) -> str:
    """The conclusion in the words of the history."""
    return "done" if error is None else _WORDS.get(type(error), "failed")


_WORDS: Mapping[type[RelmanError], str] = {
    Cancelled: "cancelled",
    CheckFailed: "check failed, rolled back",
    Interrupted: "interrupted",
    MixedFleet: "mixed fleet",
    NotServing: "not serving",
    RolledBack: "failed, rolled back",
    Unknown: "unknown",
}


def conclude(happened: Happened) -> RelmanError | None:
    """The error that the command ends with, the gravest first; None if everything went as planned.

    The order is that of `relman status`: not serving, interrupted, different releases, unknown; then why it failed.
    """
    return _bad(happened) or _unfinished(happened)


def _bad(happened: Happened) -> RelmanError | None:
    """The error for hosts that are in an unintended or unknown state."""
    plan, details = happened.plan, failure_lines(happened)
    recover = f"relman recover {plan.place}"
    again = f"correct the cause, then: {recover}"
    if dark := happened.of(Result.NOT_SERVING):
        text = f"{hosts_in_words(dark)} {_verb(dark, 'serves', 'serve')} nothing"
        return NotServing(title(plan, text), details=details, hint=_way_out(happened, Result.NOT_SERVING) or again)
    if stuck := happened.of(Result.INTERRUPTED):
        text = f"{hosts_in_words(stuck)} could not record what runs there"
        return Interrupted(title(plan, text), details=details, hint=again)
    if broken := happened.of(Result.FAILED):
        kind = Interrupted if happened.cancelled else MixedFleet
        hint = _way_out(happened, Result.FAILED) or again
        return kind(title(plan, _undone(plan, broken)), details=details, hint=hint)
    if away := happened.of(Result.UNKNOWN):
        text = f"{hosts_in_words(away)} did not answer, so what runs there is not known{_of_others(happened)}"
        back = f"when {_verb(away, 'it answers', 'they answer')} again: {recover}"
        return Unknown(title(plan, text), details=details, hint=back)
    return None


def _way_out(happened: Happened, result: Result) -> str:
    """What resolves the first known cause of this result, and what comes then; "" if none is known."""
    causes = (o.hint for o in happened.outcomes if o.result is result and o.hint)
    return next((f"{cause}; then: relman recover {happened.plan.place}" for cause in causes), "")


def _undone(plan: Plan, hosts: list[str]) -> str:
    could_not = "could not be rolled back" if plan.kind in _ON_WAVES else "failed"
    return f"{hosts_in_words(hosts)} {could_not}"


def _of_others(happened: Happened) -> str:
    """What is known of the hosts that answered."""
    if happened.of(Result.CHANGED) and happened.of(Result.RETURNED):
        return "; the others run different releases"
    if happened.of(Result.RETURNED):
        return "; every other changed host runs what it ran before"
    if changed := happened.of(Result.CHANGED):
        return f"; {hosts_in_words(changed)} {_verb(changed, 'runs', 'run')} {happened.plan.release}"
    return ""


def _unfinished(happened: Happened) -> RelmanError | None:
    """The error for a plan that failed or was stopped while every host answers and serves."""
    plan, details = happened.plan, failure_lines(happened)
    if plan.kind is Kind.RECOVER and happened.of(Result.CHANGED) and happened.of(Result.RETURNED):
        finished, undone = (hosts_in_words(happened.of(r)) for r in (Result.CHANGED, Result.RETURNED))
        text = f"it was finished on {finished}, where it was recorded as done, and undone on {undone}"
        return MixedFleet(title(plan, text), details=details, hint=f"relman status {plan.place} shows every host")
    left = happened.of(Result.RETURNED) or happened.of(Result.NOT_REACHED) or happened.of(Result.STALE)
    if plan.kind not in _ON_WAVES or not (happened.failures or left):
        return None
    if not happened.begun and happened.failures:
        return _before_any_change(happened)
    if happened.unsafe:
        return _halted(happened)
    if happened.cancelled:
        return Cancelled(title(plan, "it was cancelled, and every host runs what it ran before"), details=details)
    if changed := happened.of(Result.CHANGED):
        everywhere = len(changed) == len(plan.steps)
        text = "it failed when every host ran it already" if everywhere else "the hosts now run different releases"
        return MixedFleet(title(plan, text), details=details, hint=f"relman status {plan.place} shows every host")
    checks = bool(happened.failures) and all(isinstance(e, CheckFailed) for e in happened.failures.values())
    if checks:
        return CheckFailed(title(plan, "its check failed, and every host runs what it ran before"), details=details)
    return RolledBack(title(plan, "it failed, and every host runs what it ran before"), details=details)


def _before_any_change(happened: Happened) -> RelmanError:
    """The cause itself; if a task had started, RolledBack, because a task may have had effects."""
    error = next(iter(happened.failures.values()))
    if not happened.tasks or isinstance(error, Cancelled):
        return error
    return RolledBack(error.what, host=error.host, details=error.details, hint=error.hint)


def _halted(happened: Happened) -> RelmanError:
    """Never roll back automatically past a task that is not marked rollback_safe."""
    plan, tasks = happened.plan, ", ".join(happened.unsafe)
    return MixedFleet(
        title(plan, f"it {'was cancelled' if happened.cancelled else 'failed'} after its task {tasks}"),
        details=failure_lines(happened),
        hint=f"{tasks} is not marked rollback_safe, so the changed hosts were not rolled back past it; correct it and "
        f"deploy again, or decide yourself: relman rollback {plan.place}",
    )


def title(plan: Plan, text: str) -> str:
    """`text` as a statement about this plan."""
    what = f"{plan.service} {plan.release}".rstrip()
    return f"the {_NOUNS[plan.kind]} of {what} in {plan.environment}: {text}"


def failure_lines(happened: Happened) -> list[str]:
    """The failures, host by host and each once, then the outcomes that were not intended."""
    lines: dict[str, None] = {}
    told: set[int] = set()
    for host, error in happened.failures.items():
        if not isinstance(error, Cancelled) and id(error) not in told:
            told.add(id(error))
            lines |= dict.fromkeys(_lines(error.host or host, error))
    outcomes = [f"{o.host}: {o.detail}" for o in happened.outcomes if o.result not in _AS_MEANT]
    return [*lines, *outcomes]


_AS_MEANT = (Result.CHANGED, Result.UNCHANGED, Result.REMOVED)


def _lines(host: str, error: RelmanError) -> Iterator[str]:
    yield f"{host}: {error.what}" if host else error.what
    yield from (f"  {line}" for line in error.details)


def hosts_in_words(names: list[str]) -> str:
    """Names in a sentence: `h1, h2 and h3`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _verb(names: list[str], one: str, many: str) -> str:
    return one if len(names) == 1 else many
