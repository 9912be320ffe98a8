"""A registry on this machine's loopback, offered to each host through its SSH connection during the pull.

Docker takes `localhost:PORT` as the host's own loopback, so the registry has to be reachable there. If something
listens on that port already, it is left alone: the host's own registry, this very registry if the host is this machine,
or another relman's offer. The image is pulled by digest, so none of them can deliver another one.
"""

from __future__ import annotations

import contextlib
import ipaddress
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

from relman.hosts.ssh.connection import ChannelRefused
from relman.hosts.ssh.port_forward import Forward, ForwardRefused, LoopbackPort, forwarded
from relman.model.errors import EngineError, PreflightFailed, PullFailed, RelmanError
from relman.model.image import Repository
from relman.model.settings import Binding
from relman.rollout.fleet import Session

_ATTEMPTS = 3
_PAUSE = 0.3
_WAIT = 2.0
_PRIVILEGED = 1024
_NOTHING = "nothing was changed"
_OTHERS = "where that is another relman's deployment, run it again when it is done"


def place_of(repository: Repository) -> LoopbackPort | None:
    """The loopback address of its registry, or None if it is not on loopback; only addresses that sshd can bind
    exactly."""
    name, _, port = repository.registry.rpartition(":")
    name = name.strip("[]")
    with contextlib.suppress(ValueError):
        address = str(ipaddress.ip_address("127.0.0.1" if name == "localhost" else name))
        if address in ("127.0.0.1", "::1"):
            return LoopbackPort(name, address, int(port))
    return None


def pulled(session: Session, source: Repository, auth: Mapping[str, str] | None, pull: Callable[[], None]) -> None:
    """Run `pull`, offering this machine's registry meanwhile if `source` is on loopback.

    Raises what `pull` raises, PreflightFailed if there is no registry for the host, or Unreachable.
    """
    place = place_of(source)
    if place is None:
        pull()
    else:
        _Offer(session, source, auth, place).pulled(pull)


def require_offer(session: Session, source: Repository, auth: Mapping[str, str] | None) -> None:
    """Raise PreflightFailed if `source` is on loopback and a pull would reach no registry; or Unreachable."""
    if place := place_of(source):
        _Offer(session, source, auth, place).require()


def has_answered(error: EngineError) -> bool:
    """Whether the registry itself refused the engine's request, in contrast to not being reached."""
    return error.status is not None and error.status < HTTPStatus.INTERNAL_SERVER_ERROR


@dataclass(frozen=True)
class _Offer:
    session: Session
    source: Repository
    auth: Mapping[str, str] | None
    place: LoopbackPort

    def pulled(self, pull: Callable[[], None]) -> None:
        failed: PullFailed | None = None
        for _ in range(_ATTEMPTS):  # the listener may have been another relman's offer that has ended
            try:
                with self._open() as forward, _told(forward):
                    return pull()
            except ForwardRefused:
                self._require_other()
            try:
                return pull()
            except PullFailed as error:
                failed = error
            time.sleep(_PAUSE)
        assert failed  # noqa: S101
        failed.details = (f"{self.place} on the host belongs to {self._holder()}",)
        failed.hint = f"{_NOTHING}; {_OTHERS}"
        raise failed

    def require(self) -> None:
        with contextlib.suppress(ForwardRefused), self._open():
            return
        self._require_other()
        if not self._answers():
            what = f"no registry answers on {self.place}, which belongs to {self._holder()}"
            raise PreflightFailed(what, host=self.session.host.name, hint=f"{_NOTHING}; {_OTHERS}")

    @contextlib.contextmanager
    def _open(self) -> Iterator[Forward]:
        """Raises ForwardRefused, also if this machine has nothing to offer."""
        if not self.place.listens:
            raise ForwardRefused(f"nothing listens on {self.place} of this machine")
        with contextlib.ExitStack() as stack:
            offer = partial(forwarded, self.session.connection, self.place)
            try:
                forward = stack.enter_context(offer())
            except ForwardRefused:
                if self._taken() is not False:
                    raise
                forward = stack.enter_context(offer())  # the listener may have ended just now
            yield forward

    def _taken(self) -> bool | None:
        """Whether something listens there on the host; None if sshd does not permit the question."""
        try:
            self.session.connection.tcp(self.place.address, self.place.port, _WAIT).close()
        except ChannelRefused as error:
            return None if error.forbidden else False
        return True

    def _require_other(self) -> None:
        """Raise PreflightFailed unless something listens there on the host."""
        taken = self._taken()
        if taken or (taken is None and self._answers()):
            return
        host = self.session.host.name
        if not self.place.listens:
            what = f"nothing listens on {self.place}, neither on this machine nor on the host"
            raise PreflightFailed(what, host=host, hint=f"start the registry; {_NOTHING}")
        what = f"sshd refuses to forward {self.place} to the registry on this machine"
        raise PreflightFailed(what, host=host, hint=f"{_settings(self.place, taken is None)}; {_NOTHING}")

    def _answers(self) -> bool:
        """Whether the host's engine finds a registry there."""
        try:
            self.session.engine.ask_registry(self.source, self.auth)
        except EngineError as error:
            return has_answered(error)
        return True

    def _holder(self) -> str:
        """What listens there, as far as the engine knows."""
        with contextlib.suppress(RelmanError):
            port = Binding("tcp", self.place.port, self.place.address)
            for row in self.session.engine.survey({})[1]:
                if any(taken.collides(port) for taken in row.ports):
                    return f"the container {row.name}"
        return f"a process outside Docker: sudo ss -ltnp 'sport = :{self.place.port}' names it"


def _settings(place: LoopbackPort, forbidden: bool) -> str:
    if forbidden:
        return "set AllowTcpForwarding to yes or remote in its sshd_config"
    low = "only root may listen on a port below 1024; else " if place.port < _PRIVILEGED else ""
    return (
        f"{low}set AllowTcpForwarding to yes or remote in its sshd_config, with DisableForwarding no and PermitListen "
        f"any or {place.address}:{place.port}; the key in authorized_keys must not say restrict or no-port-forwarding"
    )


@contextlib.contextmanager
def _told(forward: Forward) -> Iterator[None]:
    """Add to the error of a failed pull what was observed at this end."""
    try:
        yield
    except PullFailed as error:
        if forward.refused:
            error.details = (*error.details, forward.refused)
        elif not forward.came:
            text = f"its engine did not connect to {forward.place}; a rootless one cannot, in a network of its own"
            error.details = (*error.details, text)
        raise
