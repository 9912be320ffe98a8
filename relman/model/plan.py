"""The observed state of hosts, the plan of a deployment, and its outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from relman.model.container import DEPLOYMENT, Container, Copy, EngineFacts, Image
from relman.model.errors import Symptoms
from relman.model.grants.secrets import changed
from relman.model.settings import Binding, OnFailure
from relman.model.settings_diff import HIDDEN, Changed, differences
from relman.model.state_dir.lock import FoundLock, Intent, OldContainer, Phase
from relman.model.state_dir.record import Absence, Deployed, HostRecord
from relman.model.strategy import Check, Hook, StrategyKind, Task


@dataclass(frozen=True)
class Observed:
    """The observed state of one host.

    Its engine, record and lock; the service's containers, newest first; its task containers and images; the owner of
    each bound port; the copies of the service that other environments run; the `foreign` containers, made by others,
    that are to be adopted or, as the lock says, are being replaced; and the names of the containers of `rehearsals`.
    """

    host: str
    facts: EngineFacts
    record: HostRecord
    lock: FoundLock | None = None
    containers: tuple[Container, ...] = ()
    port_owners: Mapping[Binding, str] = field(default_factory=dict)
    tasks: tuple[Container, ...] = ()
    images: tuple[Image, ...] = ()
    copies: tuple[Copy, ...] = ()
    foreign: tuple[Container, ...] = ()
    rehearsals: tuple[str, ...] = ()

    def owners_of(self, wanted: Binding) -> list[str]:
        """The names of the containers that prevent a new one from binding this port."""
        return list(dict.fromkeys(name for taken, name in self.port_owners.items() if taken.collides(wanted)))

    def containers_of(self, deployment: str) -> tuple[Container, ...]:
        """The containers that this deployment made, as far as they are still there."""
        return tuple(c for c in self.containers if c.labels.get(DEPLOYMENT) == deployment)

    @property
    def running(self) -> tuple[Container, ...]:
        """The containers that run now: one of each replica of each process, when all is well."""
        return tuple(c for c in self.containers if c.running)

    @property
    def serving(self) -> tuple[Container, ...]:
        """The containers that serve: those of the record's current entry that run, else whichever run."""
        return self._current(self.running)

    @property
    def in_place(self) -> tuple[Container, ...]:
        """The containers that have the service's place, also while they are paused, or crash and are started again."""
        return self._current([c for c in self.containers if c.alive])

    @property
    def extra(self) -> tuple[Container, ...]:
        """The containers that run, or are paused, beside those in place: none, when all is well."""
        placed = self.in_place
        return tuple(c for c in self.containers if c.alive and c not in placed)

    def _current(self, among: Sequence[Container]) -> tuple[Container, ...]:
        """Those of one deployment, the current one if it is among them; of each slot one, the recorded one first."""
        marks = [c.labels.get(DEPLOYMENT, c.id) for c in among]
        chosen = self.record.current if self.record.current in marks else next(iter(marks), None)
        known = self.record.serving.ids if self.record.serving else frozenset()
        own = [c for c, mark in zip(among, marks, strict=True) if mark == chosen]
        slots: dict[tuple[str, str], Container] = {}
        for container in sorted(own, key=lambda c: c.id not in known):
            slots.setdefault(container.slot, container)
        return tuple(c for c in own if c in slots.values())


class Kind(StrEnum):
    """The command that a plan carries out."""

    DEPLOY = "deploy"
    ROLLBACK = "rollback"
    RECOVER = "recover"
    REMOVE = "remove"
    RESTART = "restart"
    EXEC = "exec"  # a command in a container, which changes no deployment


class Action(StrEnum):
    """What a step does on its host."""

    START = "start"  # the host has no container of the service
    REPLACE = "replace"  # the new container takes the old one's place
    VERIFY = "verify"  # the right container runs, and was never proven good


@dataclass(frozen=True)
class Turn:
    """Processes whose old containers stop before the new ones start, together, and why."""

    processes: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Step:
    """One action on one host: make `entry` serve in place of the containers `old`.

    Processes in a turn stop first, one turn after the other; all others start first, before the turns. `before` is what
    the host's record says of the old containers, `old_release` its name for people. `restores` is what a rollback would
    put back once this is done. `unasked` is why nobody can ask for the new containers' health, where that bars nothing.
    `adopts` are the names of `old` where others made them: they are stopped, and stay.
    """

    host: str
    action: Action
    entry: Deployed
    old: tuple[OldContainer, ...] = ()
    old_release: str = ""
    turns: tuple[Turn, ...] = ()
    before: Deployed | None = None
    restores: Deployed | None = None
    unasked: str = ""
    adopts: tuple[str, ...] = ()

    @property
    def stop_first(self) -> tuple[str, ...]:
        """The processes whose old containers stop before the new ones start."""
        return tuple(p for turn in self.turns for p in turn.processes)

    @property
    def why(self) -> str:
        """What the order of the containers comes from."""
        return "; ".join(dict.fromkeys(turn.why for turn in self.turns)) or "nothing is shared"

    @property
    def changes(self) -> tuple[Changed, ...]:
        """The settings and secrets in which the new container differs from the old one."""
        settings = differences(self.before.settings if self.before else None, self.entry.settings)
        return (*settings, *(Changed(f"secrets.{name}", HIDDEN, HIDDEN) for name in self.changed_secrets))

    @property
    def changed_secrets(self) -> tuple[str, ...]:
        """The names of the secrets that were there before, too, with another value."""
        if not self.before:
            return ()
        names = {each.name for each in self.before.settings.every_secret}
        both = [each for each in self.entry.settings.every_secret if each.name in names]
        return changed(both, self.before.secrets, self.entry.secrets)


@dataclass(frozen=True)
class Wave:
    """Hosts that are changed in parallel.

    All hosts of a `canary` must succeed, whatever else is tolerated. After they serve, they are watched for `bake`
    seconds, then `checks` are run. `pause` is the time in seconds before the next wave. With `both` no host's proxy is
    switched before all have healthy new containers, and the old ones run until that is over.
    """

    steps: tuple[Step, ...]
    pause: float = 0.0
    canary: bool = False
    bake: float = 0.0
    checks: tuple[Check, ...] = ()
    both: bool = False


@dataclass(frozen=True)
class TaskRun:
    """A task and the host that runs it."""

    host: str
    task: Task


@dataclass(frozen=True)
class Plan:
    """Everything that will be done.

    Hosts of one wave are changed in parallel, waves in sequence; `tasks` run before the first and after the last wave.
    `left_out` are the hosts that the caller excluded; `crosses` names the tasks, not marked rollback_safe, that a
    rollback goes back past. `place` is how a command names the target: `-e ENV`, with `--service` where needed.
    `max_unavailable` is a count or share of hosts, `by_default` why that is the default, "" where somebody said it.
    `copies` are the service's containers of other environments, each with its host; `new_volumes` the named volumes
    that the engines will make, each with its host.
    """

    id: str
    kind: Kind
    service: str
    environment: str
    release: str
    waves: tuple[Wave, ...]
    unchanged: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    on_failure: OnFailure = OnFailure.ROLLBACK
    keep: int = 5
    strategy: StrategyKind = StrategyKind.ROLLING
    max_failures: int = 0
    tasks: tuple[TaskRun, ...] = ()
    hooks: tuple[Hook, ...] = ()
    left_out: tuple[Absence, ...] = ()
    crosses: tuple[str, ...] = ()
    place: str = ""
    copies: tuple[tuple[str, Copy], ...] = ()
    new_volumes: tuple[tuple[str, str], ...] = ()
    max_unavailable: str = ""
    by_default: str = ""

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, in the order of the waves."""
        return tuple(s for wave in self.waves for s in wave.steps)

    @property
    def hosts(self) -> tuple[str, ...]:
        """All hosts of the plan, changed or not."""
        return (*(s.host for s in self.steps), *self.unchanged)


class Result(StrEnum):
    """The result on one host."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    RETURNED = "returned"  # changed, then rolled back to the previous release
    FAILED = "failed"  # and it does not run what was intended
    REMOVED = "removed"
    STALE = "stale"  # changed by another after the plan was made, so not touched
    NOT_SERVING = "not serving"
    NOT_REACHED = "not reached"  # not started
    INTERRUPTED = "interrupted"  # the record could not be written; the lock stays
    UNKNOWN = "unknown"  # the host did not answer


@dataclass(frozen=True)
class Outcome:
    """The outcome on one host.

    `detail` is for people; `symptoms` are those of a container that does not serve. `gap` is the time in seconds
    without a serving container (the engine's stop and start), of the process `gap_of` where there are several, the
    longest; `boot` the application's time until it was healthy; `hint` what resolves the cause, if known; `unasked` why
    its health was not checked.
    """

    host: str
    result: Result
    detail: str = ""
    symptoms: Symptoms | None = None
    gap: float | None = None
    gap_of: str = ""
    boot: float | None = None
    hint: str = ""
    unasked: str = ""


class Leftover(StrEnum):
    """What an interrupted deployment left running on one host."""

    NOTHING = "nothing"  # it had not begun there
    GAP = "gap"  # nothing runs of a process that had its place
    OLD = "old"  # the old containers run
    NEW = "new"  # the new containers run
    BOTH = "both"
    MIXED = "mixed"  # some of the new ones run, and no process is without any


@dataclass(frozen=True)
class Interruption:
    """What an interrupted deployment left on one host, and what it was going to do there."""

    host: str
    leftover: Leftover
    intent: Intent | None = None
    phase: Phase = Phase.HELD
