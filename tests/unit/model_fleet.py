"""A fleet in memory, one host after the other, that can die, lose a cable or its power before any change of a host."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import Any, TypeVar, cast

from relman.config.deploy import NO_FILES
from relman.hosts.state_dir.journal import NAME as JOURNAL
from relman.hosts.state_dir.location import FILES, SECRETS
from relman.model.container import DEPLOYMENT
from relman.model.errors import Unreachable
from relman.model.grants.secrets import NONE_GIVEN, Given
from relman.model.host import Environment
from relman.model.plan import Observed, Plan
from relman.model.proxy import ServiceRoute
from relman.model.run import Release
from relman.model.settings import DeploySettings
from relman.model.state_dir.journal import JournalLine, lines_in
from relman.model.state_dir.record import HostRecord, kept_name
from relman.registry.auth import Login
from relman.rollout import recover
from relman.rollout.fleet import Fleet, Gathered, Session, collect
from relman.rollout.images.image_pull import Wanted
from relman.rollout.operation import Operation, look, run
from relman.rollout.planning.planner import Asked, entry_of, plan_deploy, plan_rollback
from relman.rollout.planning.rehearsal import plan_rehearsal
from relman.rollout.planning.restart import plan_restart
from relman.rollout.progress import Report
from relman.rollout.rehearsal.rehearse import RehearsalReport, rehearse
from relman.rollout.remove import remove
from relman.rollout.state.locks import Patience
from tests.unit.model_host import AMD64, Died, ModelConnection, ModelEngine, ModelHost
from tests.unit.model_proxy import CONFIG, PLACE, STATE, ModelProxy
from tests.unit.values import REPOSITORY, deployed

T = TypeVar("T")
LOGIN = Login(REPOSITORY.registry, {"username": "ci", "password": "secret"})
ROUTE = ServiceRoute(("shop.example.com",))
LATER = 1000.0  # seconds: every lock has run out


class Quiet:
    """A watcher that remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.hidden: set[str] = set()

    def host(self, *_: object) -> None:
        """Not interesting."""

    def hide(self, secrets: Iterable[str]) -> None:
        """Remember them."""
        self.hidden |= set(secrets)

    def say(self, text: str) -> None:
        """Remember it."""
        self.said.append(text)


class ModelFleet(Fleet):
    """Sessions on model hosts."""

    def __init__(self, hosts: Iterable[ModelHost]) -> None:
        self.models = tuple(hosts)
        self.environment = Environment("production", tuple(h.host for h in self.models))
        self.service = "shop"
        self._sessions = {
            h.name: Session(
                h.host,
                cast(Any, ModelConnection(h)),
                cast(Any, ModelEngine(h)),
                repositories={"shop": REPOSITORY},
            )
            for h in self.models
        }

    @property
    def sessions(self) -> Mapping[str, Session]:
        """All of them."""
        return self._sessions

    def each(
        self,
        work: Callable[[Session], T],
        hosts: Iterable[str] | None = None,
        cancel: threading.Event | None = None,  # noqa: ARG002  # as Fleet has it
    ) -> Gathered[T]:
        """One after the other, so that a change has a number."""
        names = list(self._sessions if hosts is None else hosts)
        return collect({name: ModelConnection.done(partial(work, self._sessions[name])) for name in names})


def release(tag: str) -> Release:
    """The release of this tag, with the digests that `values.deployed` gives it."""
    entry = deployed("x", release=tag)
    ModelEngine._image_of[str(entry.manifest)] = entry.image_id
    return Release(REPOSITORY, tag, entry.manifest, entry.config, AMD64)


@dataclass
class World:
    """Hosts, a clock, and what happens before change number `at` (1 is the first) of a command."""

    count: int
    settings: DeploySettings
    now: float = 0.0
    changes: int = 0
    at: int = 0
    happens: Callable[[ModelHost], None] = lambda _: None
    dark: int = 0
    dead: bool = False
    watcher: Quiet = field(default_factory=Quiet)
    by: str = "a@b"
    secret: bytes = b""
    routes: Mapping[str, ServiceRoute] | None = None
    cancel: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.hosts = [ModelHost(f"h{i}", self._step, partial(self._clock, i)) for i in range(1, self.count + 1)]
        for host in self.hosts if self.settings.proxied else ():
            ModelProxy.on(host)
        self._number = 0

    def _clock(self, number: int) -> float:
        """Every host's clock is an hour ahead of the one before."""
        return self.now + 3600 * number

    def _step(self, host: ModelHost) -> None:
        self.changes += 1
        self.dark = max(self.dark, sum(h.serves == "-" for h in self.hosts))
        if self.dead:
            raise Died
        if self.changes == self.at:
            self.dead = self.happens is killed
            self.happens(host)

    def before(self, at: int, happens: Callable[[ModelHost], None]) -> None:
        """Let this happen before change number `at` of what comes next; count from 1 again."""
        self.at, self.happens, self.changes, self.dark, self.dead = at, happens, 0, 0, False

    def calm(self) -> None:
        """Nothing happens any more, cables are in, and so much time has passed that dead holders' locks ran out."""
        self.before(0, lambda _: None)
        self.now += LATER
        for host in self.hosts:
            host.reachable = True

    def asked(self, **options: Any) -> Asked:
        """What a person asks for now."""
        self._number += 1
        at = f"2026-01-01T00:{self._number // 60:02}:{self._number % 60:02}Z"
        return Asked(f"d{self._number:04}", at, self.by, "shop", "production", **options)

    def deploy(self, tag: str, settings: DeploySettings | None = None, **options: Any) -> Report:
        """Deploy to all hosts, with `secret` as the value of every secret; raises what `relman deploy` raises before it
        changes anything."""
        asked, found = self.asked(**options), release(tag)
        wanted = {h.name: settings or self.settings for h in self.hosts}
        names = [each.name for each in (settings or self.settings).secrets]
        values = {h.name: dict.fromkeys(names, self.secret or tag.encode()) for h in self.hosts}
        given = Given(values, f"{self._number:016x}")
        files = {each.digest: each.name.encode() for each in (settings or self.settings).every_file}
        routes = dict.fromkeys(wanted, ROUTE) if self.routes is None else self.routes
        return self._run(
            asked,
            lambda seen: plan_deploy(asked, found, wanted, seen, given, routes),
            Wanted(
                (kept_name("production", "shop"), str(found.repository)),
                lambda host, facts: entry_of(asked, found, wanted[host], facts),
            ),
            given,
            files,
        )

    def rollback(self, to: str | None = None, *, keep_secrets: bool = False) -> Report:
        """Roll back."""
        asked = self.asked()
        return self._run(asked, lambda seen: plan_rollback(asked, seen, to, keep_secrets=keep_secrets))

    def rehearse(self, to: str | None = None, **options: Any) -> RehearsalReport:
        """Rehearse a rollback."""
        asked, cancel = self.asked(**options), threading.Event()
        plan = partial(plan_rehearsal, asked, release=to)
        return rehearse(ModelFleet(self.hosts), asked, plan, self.watcher, cancel, Patience())

    def restart(self) -> Report:
        """New containers of what serves."""
        asked = self.asked()
        return self._run(asked, lambda seen: plan_restart(asked, seen))

    def _run(
        self,
        asked: Asked,
        plan: Callable[[Any], Plan],
        wanted: Wanted | None = None,
        given: Given = NONE_GIVEN,
        files: Mapping[str, bytes] = NO_FILES,
    ) -> Report:
        operation = Operation(asked, plan, "at work", self.watcher, self.cancel, wanted=wanted, login=LOGIN)
        fleet = ModelFleet(self.hosts)
        for name, session in fleet.sessions.items():
            session.secrets, session.files = given.values.get(name, {}), files
        return run(fleet, operation)

    def remove(self) -> Report:
        """Remove it."""
        return remove(ModelFleet(self.hosts), self.asked(), self.watcher, Patience())

    def recover(self, finish: bool | None = None) -> Report:
        """Recover."""
        return recover.recover(ModelFleet(self.hosts), self.asked(), self.watcher, threading.Event(), finish)

    def heal(self) -> tuple[str, ...]:
        """What every deployment does first when it meets an interrupted one."""
        return recover.heal_gaps(ModelFleet(self.hosts), self.asked(), self.watcher)

    def journals(self) -> list[list[JournalLine]]:
        """What every host's journal tells, oldest first."""
        found = [[d for p, (d, _) in h.files.items() if p.endswith(JOURNAL)] for h in self.hosts]
        return [list(lines_in(b"".join(each)).lines) for each in found]

    def seen(self) -> tuple[Observed, ...]:
        """The hosts as relman sees them."""
        return look(ModelFleet(self.hosts), self.asked())

    @property
    def versions(self) -> list[str]:
        """What every host serves."""
        return [h.serves for h in self.hosts]

    def state(self) -> list[tuple[object, ...]]:
        """All that must be as before after a failure: what runs how, the policies, the records; and no lock."""
        return [
            (
                sorted((c.id, c.running, c.restart_policy) for c in h.containers.values()),
                [HostRecord.from_json(json.loads(d)) for p, (d, _) in h.files.items() if "record" in p and p != STATE],
                sorted(p for p in h.files if not p.endswith(JOURNAL)),
                h.proxy and (h.proxy.loaded, h.files[CONFIG][0]),
            )
            for h in self.hosts
        ]

    def tidy(self, *, whole: bool = True) -> None:
        """Assert that every host serves in exactly the containers of its release, that a reboot changes nothing, and
        that no lock, no half-written file and no unknown container is there; with `whole`, no image but those that are
        kept, either."""
        for host, seen in zip(self.hosts, self.seen(), strict=True):
            there = {p: PurePosixPath(p) for p in host.files if not p.startswith(f"{PLACE}/")}
            if host.proxy:
                assert host.files.keys() - there.keys() == {CONFIG, STATE}, sorted(host.files)
                assert host.proxy.loaded.encode() == host.files[CONFIG][0]
            kept_sets = {
                SECRETS: {e.secrets.directory for e in seen.record.entries if e.secrets},
                FILES: {e.files for e in seen.record.entries if e.files},
            }
            for folder, kept in kept_sets.items():
                assert {p.parent.name for p in there.values() if p.parent.parent.name == folder} == kept, there
                assert any(d.endswith(f"/{folder}") for d in host.directories) == bool(kept), host.directories
            own = {p.name for p in there.values() if p.parent.parent.name not in kept_sets}
            assert own - {JOURNAL} == {"record.json"}, sorted(host.files)
            known = {id for e in seen.record.entries for id in e.ids}
            assert {c.id for c in host.containers.values()} <= known, host.containers
            assert seen.record.serving
            serving = {c.id for c in host.running}
            assert serving == seen.record.serving.ids, host.containers
            assert {c.labels[DEPLOYMENT] for c in host.running} == {seen.record.current}
            assert {c.slot for c in host.running} == {u.slot for u in seen.record.serving.parts}
            images = {e.kept_as for e in seen.record.entries}
            assert not whole or {r for r in host.images if r.startswith("relman.kept/")} == images, host.images
            host.reboot()
            assert {c.id for c in host.running} == serving


def killed(_: ModelHost) -> None:
    """relman is killed."""
    raise Died


def cut(host: ModelHost) -> None:
    """The host's cable is pulled."""
    host.reachable = False
    raise Unreachable("the cable is out", host=host.name)


def rebooted(host: ModelHost) -> None:
    """The host loses its power and comes back; the connection to it is gone."""
    host.reboot()
    cut(host)


def restarted(host: ModelHost) -> None:
    """The host loses its power and comes back so soon that the connection to it is opened again."""
    host.reboot()


def faulty(_: ModelHost) -> None:
    """A fault of relman's own, or something foreign that no adapter translated."""
    raise KeyError("Id")


def serving(count: int, settings: DeploySettings, *tags: str) -> World:
    """A fleet that these releases were deployed to, one after the other."""
    world = World(count, settings)
    for tag in tags:
        assert world.deploy(tag).error is None
    world.calm()
    return world
