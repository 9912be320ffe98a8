"""Bring the exact image to every host. A pull needs neither locks nor plan, so it starts before them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from relman.model.container import EngineFacts
from relman.model.errors import Cancelled, NotFound, PreflightFailed, PullFailed
from relman.model.image import Repository
from relman.model.plan import Action, Observed, Plan
from relman.model.state_dir.record import Deployed, kept_in
from relman.registry.auth import Login
from relman.rollout.fleet import Fleet, Session, Watcher
from relman.rollout.images.registry_offer import pulled, require_offer


@dataclass(frozen=True)
class Wanted:
    """The image that hosts will need: `entry` returns the record's entry, given a host's name and its engine (None: no
    image); `names` are the repository names under which a host may have it already."""

    names: tuple[str, ...]
    entry: Callable[[str, EngineFacts], Deployed | None]


@dataclass(frozen=True)
class _Held:
    """The image of an entry, protected by its local tag since a time (monotonic seconds); `reference` is for creating
    containers."""

    entry: Deployed
    reference: str
    since: float


class Fetching:
    """Pulls the image of one deployment to the hosts of `fleet`.

    It is pulled only from the repository that the inventory names; `login` is sent only to that registry.
    """

    def __init__(self, fleet: Fleet, watcher: Watcher, cancel: threading.Event, login: Login | None = None) -> None:
        self._fleet = fleet
        self._watcher = watcher
        self._cancel = cancel
        self._login = login
        self._given_up = threading.Event()
        self._asked_for = threading.Event()
        self._early: dict[str, Future[_Held | None]] = {}

    def begin(self, wanted: Wanted) -> None:
        """Start pulling on every host."""
        for name, session in self._fleet.sessions.items():
            self._early[name] = session.connection.aside(partial(self._begin, session, wanted))

    def _begin(self, session: Session, wanted: Wanted) -> _Held | None:
        listed = session.connection.aside(partial(session.engine.images, *wanted.names))
        entry = wanted.entry(session.host.name, session.facts)
        images = listed.result()
        if entry is None or not session.connection.streamlocal:
            return None  # without stream-local forwarding, a pull in parallel needs another session (MaxSessions)
        return self._fetch(session, entry, kept_in(images, entry))

    def require(self, plan: Plan, seen: Mapping[str, Observed]) -> None:
        """Raise PreflightFailed where a pull that the plan needs would reach no registry; nothing is pulled."""

        def one(session: Session) -> None:
            source = session.repositories.get(self._fleet.service)
            if source and not kept_in(seen[session.host.name].images, by_host[session.host.name].entry):
                require_offer(session, source, self._auth_config(source))

        by_host = {s.host: s for s in plan.steps if s.action is not Action.VERIFY}
        self._fleet.each(one, by_host).all("looking for the registry")

    def finish(self, plan: Plan, seen: Mapping[str, Observed], locked: float) -> dict[str, str]:
        """Return the local reference of every step's image, pulled and protected by a tag.

        An image pulled before the locks were taken (at `locked`, monotonic) may have been pruned since: `seen`, which
        is later, decides. Raises what the pulls raise (PullFailed, AccessDenied, Unreachable), or Cancelled.
        """

        def one(session: Session) -> str:
            entry = by_host[session.host.name].entry
            early = self._early.get(session.host.name)
            held = early.result() if early else None
            if held and held.since > locked and held.entry.kept_as == entry.kept_as:
                return held.reference
            return self._fetch(session, entry, kept_in(seen[session.host.name].images, entry)).reference

        by_host = {s.host: s for s in plan.steps if s.action is not Action.VERIFY}
        self._asked_for.set()
        images = self._fleet.each(one, by_host, self._cancel).all("getting the image")
        if self._cancel.is_set():
            raise Cancelled("cancelled; nothing was changed")
        return dict(images)

    def give_up(self) -> None:
        """Stop pulls that are still running."""
        self._given_up.set()

    def _fetch(self, session: Session, entry: Deployed, kept: str | None) -> _Held:
        host = session.host.name
        reference = kept or self._pull(session, entry)
        if kept == entry.kept_as:
            return _Held(entry, kept, time.monotonic())
        try:
            session.engine.keep(entry.image_id, entry.kept_as)
        except NotFound as error:
            text = f"the engine pulled the image but does not know it as {entry.image_id}: {error.what}"
            raise PullFailed(text, host=host) from error
        return _Held(entry, reference, time.monotonic())

    def _pull(self, session: Session, entry: Deployed) -> str:
        """Pull the entry's digest, from the inventory's repository and not the record's. Returns the reference."""
        host, source = session.host.name, session.repositories.get(self._fleet.service)
        if source is None:
            raise PreflightFailed(
                f"no longer has the image of {entry.release}, and the inventory names no repository "
                f"for {self._fleet.service}",
                host=host,
                hint="add it to relman_services in the inventory; nothing was changed",
            )
        self._tell(host, 0, 0)
        auth, tell = self._auth_config(source), partial(self._tell, host)
        pull = partial(session.engine.pull, source, entry.manifest, auth, tell)
        session.connection.lasting(lambda: pulled(session, source, auth, pull))
        return source.at(entry.manifest)

    def _auth_config(self, source: Repository) -> Mapping[str, str] | None:
        return self._login.auth_config if self._login and self._login.registry == source.registry else None

    def _tell(self, host: str, done: int, total: int) -> None:
        if self._cancel.is_set() or self._given_up.is_set():
            raise Cancelled("cancelled while getting the image", host=host)
        if self._asked_for.is_set():
            self._watcher.host(host, "pulling", done, total)
