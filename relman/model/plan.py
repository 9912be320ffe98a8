"""What was seen on the hosts, what a deployment will do, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from relman.model.container import DEPLOYMENT, Container, Copy, EngineFacts, Image
from relman.model.errors import Symptoms
from relman.model.record import Absence, Deployed, FoundLock, HostRecord, Intent, Phase
from relman.model.settings import Binding, OnFailure
from relman.model.settings_diff import Changed, differences
from relman.model.strategy import Check, Hook, StrategyKind, Task


@dataclass(frozen=True)
class Observed:
    """One host as it was seen: its engine, its record, its lock, this service's containers (newest first), those of its
    tasks, the names of its images, who takes which of its ports, and what other environments run of the service."""

    host: str
    facts: EngineFacts
    record: HostRecord
    lock: FoundLock | None = None
    containers: tuple[Container, ...] = ()
    port_owners: Mapping[Binding, str] = field(default_factory=dict)
    tasks: tuple[Container, ...] = ()
    images: tuple[Image, ...] = ()
    copies: tuple[Copy, ...] = ()

    def owners_of(self, wanted: Binding) -> list[str]:
        """The names of the containers beside which none can have this port."""
        return list(dict.fromkeys(name for taken, name in self.port_owners.items() if taken.collides(wanted)))

    def container_of(self, deployment: str) -> Container | None:
        """The container that this deployment made, if it is still there."""
        return next((c for c in self.containers if c.labels.get(DEPLOYMENT) == deployment), None)

    @property
    def running(self) -> tuple[Container, ...]:
        """The containers that run now: one, when all is well."""
        return tuple(c for c in self.containers if c.running)

    @property
    def serving(self) -> Container | None:
        """The container that serves: the one of the record's current entry if it runs, else whichever runs."""
        return self._current(self.running)

    @property
    def in_place(self) -> Container | None:
        """The container that has the service's place, also while it is paused, or crashes and is started again."""
        return self._current([c for c in self.containers if c.alive])

    @property
    def extra(self) -> tuple[Container, ...]:
        """The containers that run, or are paused, beside the one in place: none, when all is well."""
        return tuple(c for c in self.containers if c.alive and c is not self.in_place)

    def _current(self, among: Sequence[Container]) -> Container | None:
        named = {c.labels.get(DEPLOYMENT): c for c in among}
        return named.get(self.record.current) or next(iter(among), None)


class Kind(StrEnum):
    """Why a plan is carried out."""

    DEPLOY = "deploy"
    ROLLBACK = "rollback"
    RECOVER = "recover"
    REMOVE = "remove"


class Action(StrEnum):
    """What a step does with its host."""

    START = "start"  # nothing of the service is there
    REPLACE = "replace"  # the new container takes the old one's place
    VERIFY = "verify"  # the right container runs, but was never proven good


@dataclass(frozen=True)
class Step:
    """One action on one host: make `entry` serve in place of the container `old` (an id; None when there is none).

    `why` explains the order. `before` is what the host's record says of the old container, `old_release` its name for
    people; `old_restart` is its restart policy; `old_stop_timeout` in seconds. `restores` is what a rollback would put
    back once this is done. `unasked` is why nobody can ask for the new container's health, where that bars nothing.
    """

    host: str
    action: Action
    entry: Deployed
    old: str | None = None
    old_release: str = ""
    old_restart: str = "no"
    old_stop_timeout: int = 10
    stop_first: bool = False
    why: str = ""
    before: Deployed | None = None
    restores: Deployed | None = None
    unasked: str = ""

    @property
    def changes(self) -> tuple[Changed, ...]:
        """How the new container is run otherwise than the one before."""
        return differences(self.before.settings if self.before else None, self.entry.settings)


@dataclass(frozen=True)
class Wave:
    """Hosts that are done together.

    `canary`: they must all succeed, whatever else is tolerated. Once they serve they are watched for `bake` seconds,
    then `checks` are asked; `pause` in seconds is waited before the next wave.
    """

    steps: tuple[Step, ...]
    pause: float = 0.0
    canary: bool = False
    bake: float = 0.0
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True)
class TaskRun:
    """A task, and the host that it runs on."""

    host: str
    task: Task


@dataclass(frozen=True)
class Plan:
    """Everything that will be done.

    Hosts of one wave are done together, waves one after the other; `tasks` run before the first and after the last one.
    `left_out` are the hosts that a person does not want to change; `crosses` names the tasks, not known to be safe,
    that a rollback goes back over. `place` is how a command names where: `-e ENV`, with `--service` where needed.
    `copies` are what other environments run of the service, each with its host.
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

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, wave by wave."""
        return tuple(s for wave in self.waves for s in wave.steps)

    @property
    def hosts(self) -> tuple[str, ...]:
        """All hosts that the plan knows of, changed or not."""
        return (*(s.host for s in self.steps), *self.unchanged)


class Result(StrEnum):
    """What became of one host."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    RETURNED = "returned"  # changed, then put back on what it ran before
    FAILED = "failed"  # and what runs there is not what was meant
    REMOVED = "removed"
    STALE = "stale"  # changed by somebody else since the plan was made, and so left alone
    NOT_SERVING = "not serving"
    NOT_REACHED = "not reached"  # nothing was begun there
    INTERRUPTED = "interrupted"  # what runs there could not be written down; its lock says so
    UNKNOWN = "unknown"  # it did not answer


@dataclass(frozen=True)
class Outcome:
    """What happened on one host; `detail` is for people, `symptoms` are those of a container that does not serve.

    `gap` is the time in seconds in which the host served nothing: the engine's stop and start; `boot` the application's
    own time until it was first seen healthy; `hint` what ends the cause, where that is known; `unasked` why it was not
    asked for its health.
    """

    host: str
    result: Result
    detail: str = ""
    symptoms: Symptoms | None = None
    gap: float | None = None
    boot: float | None = None
    hint: str = ""
    unasked: str = ""


class Leftover(StrEnum):
    """What an interrupted deployment left on one host."""

    NOTHING = "nothing"  # it had not begun there
    GAP = "gap"  # nothing runs
    OLD = "old"  # the old container runs
    NEW = "new"  # the new container runs
    BOTH = "both"


@dataclass(frozen=True)
class Interruption:
    """What a dead holder of a lock left on one host, and what it had meant to do there."""

    host: str
    leftover: Leftover
    intent: Intent | None = None
    phase: Phase = Phase.HELD
