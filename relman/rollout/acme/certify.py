"""Get certificates from an authority, and put them on the hosts.

The steps, each marked where it is done:

1. Order one for each host name.
2. Let every host answer what the authority will ask: DNS may lead to any of them.
3. Tell the authority so, and get what it issues.
4. Put that on the hosts, and let them answer no more; whatever has happened before. Without a new certificate the one
   before goes on serving.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from relman.model.errors import CertificateRefused, RelmanError, Unhealthy, Unreachable
from relman.model.formats.clock import from_rfc3339
from relman.model.formats.text import hosts_by, some
from relman.model.proxy import Acme, Certificate, Challenge
from relman.model.state_dir.lock import Lock
from relman.rollout.acme.authority import Authority, CertificateOrder
from relman.rollout.acme.install import Issued, answer, install
from relman.rollout.fleet import Fleet, Gathered, Session, Watcher
from relman.rollout.proxy.apply import Applied
from relman.rollout.proxy.certificates import read_certificate

T = TypeVar("T")
_SLOW = timedelta(minutes=1)  # a clock that is behind the authority's no more than this is right


@dataclass(frozen=True)
class CertificateGroup:
    """Hosts that get certificates from one authority, by one account, whose private key is `account` (PEM), and the
    host names that each of them wants some for."""

    acme: Acme
    account: bytes = field(repr=False)
    wanted: Mapping[str, tuple[str, ...]]


@dataclass
class Certified:
    """What came of it: the certificates that were `issued`, why others were not, by host name, and what was `done` on
    each host; `before` are those that each host had."""

    issued: list[Certificate] = field(default_factory=list)
    refused: dict[str, RelmanError] = field(default_factory=dict)
    done: Gathered[Applied] = field(default_factory=lambda: Gathered({}))
    before: dict[str, Collection[Certificate]] = field(default_factory=dict)

    def add(self, other: Certified) -> None:
        """What came of it with another authority or account, too."""
        self.issued += other.issued
        self.refused |= other.refused
        self.before |= other.before
        self.done = Gathered({**self.done.answers, **other.done.answers}, {**self.done.errors, **other.done.errors})

    def conclude(self, *, changed: bool) -> None:
        """Raise what came of it unless all is well; `changed` is whether anything was on the hosts."""
        conclude(self.refused, self.before, datetime.now(UTC), changed=changed)


def certify(fleet: Fleet, group: CertificateGroup, names: Sequence[str], holder: Lock, watcher: Watcher) -> Certified:
    """Get a certificate for each of these host names."""
    watcher.say(f"ordering certificates from {group.acme.directory}: {some(names)}")
    certified = Certified()
    try:
        authority = Authority.open(group.acme, group.account)
    except RelmanError as error:
        certified.refused = dict.fromkeys(names, error)
        return certified
    # Step 1.
    orders = {order.host: order for order in _each(names, authority.order, certified.refused)}
    challenges = [order.challenge for order in orders.values() if order.challenge]
    issued: list[Issued] = []
    turns = _Turns(group, challenges, issued, holder)
    try:
        # Step 2.
        if challenges:
            fleet.each(turns.answer, group.wanted).all("answering the authority")
        # Step 3.
        for each in _issued(authority, orders, fleet.environment.name, certified.refused):
            issued.append(each)
    except RelmanError as error:
        certified.refused |= dict.fromkeys(orders, error)
    finally:
        # Step 4.
        turns.over.set()
        certified.issued = [each.certificate for each in issued]
        if issued or challenges:
            certified.done = fleet.each(turns.install, group.wanted)
    return certified


class _Turns:
    """Hosts that answer, and then no more: whoever is interrupted may have some that are still about to."""

    def __init__(
        self, group: CertificateGroup, challenges: Sequence[Challenge], issued: Sequence[Issued], holder: Lock
    ) -> None:
        self._group, self._challenges, self._issued, self._holder = group, challenges, issued, holder
        self._turns = {host: threading.Lock() for host in group.wanted}
        self.over = threading.Event()

    def answer(self, session: Session) -> None:
        with self._turns[session.host.name]:
            if not self.over.is_set():
                answer(session, self._challenges, self._holder)

    def install(self, session: Session) -> Applied:
        with self._turns[session.host.name]:
            own = [each for each in self._issued if each.certificate.name in self._group.wanted[session.host.name]]
            return install(session, own, self._challenges, self._holder)


def _issued(
    authority: Authority, orders: Mapping[str, CertificateOrder], environment: str, refused: dict[str, RelmanError]
) -> Iterator[Issued]:
    def told(host: str) -> str:
        authority.answered(orders[host])
        return host

    def issued(host: str) -> Issued:
        pem = authority.certificate(orders[host])
        try:
            found = read_certificate(host, pem, datetime.now(UTC) + _SLOW)
        except ValueError as error:
            raise CertificateRefused(f"its new certificate cannot be used: {error}") from None
        if not found.covers(host):
            raise CertificateRefused(f"its new certificate is for {some(found.hosts) or 'no host name'}")
        return Issued(replace(found, environment=environment), pem)

    yield from _each(list(_each(orders, told, refused)), issued, refused)


def _each(hosts: Iterable[str], work: Callable[[str], T], refused: dict[str, RelmanError]) -> Iterator[T]:
    """What comes of each host name; why nothing does, of the others. Whoever does not answer, or takes no more requests
    for now, is not asked again."""
    over: RelmanError | None = None
    for host in hosts:
        try:
            if over:
                raise over
            found = work(host)
        except (Unreachable, CertificateRefused) as error:
            refused[host] = error
            if isinstance(error, Unreachable) or error.rate_limited:
                over = error
        else:
            yield found


def conclude(
    refused: Mapping[str, RelmanError], there: Mapping[str, Collection[Certificate]], now: datetime, *, changed: bool
) -> None:
    """Raise what came of the certificates unless all are well: CertificateRefused with what serves in the place of each
    new one, by what hosts had before; Unhealthy where other things were `changed`. Pure."""
    if not refused:
        return
    details = [line for name, error in refused.items() for line in _why(name, error, there, now)]
    hint = next((error.hint for error in refused.values() if error.hint), "")
    kind = Unhealthy if changed else CertificateRefused
    raise kind(f"no new certificate for {some(list(refused))}", details=details, hint=hint)


def _why(name: str, error: RelmanError, there: Mapping[str, Collection[Certificate]], now: datetime) -> Iterator[str]:
    where = f"{error.host}: " if error.host else ""
    yield f"{name}: {where}{error.what}"
    yield from (f"  {line}" for line in error.details)
    said = hosts_by((host, _instead(name, certificates, now)) for host, certificates in there.items())
    yield from (f"  {some(hosts)}: {text}" for text, hosts in said.items())


def _instead(name: str, certificates: Collection[Certificate], now: datetime) -> str:
    until = max((each.until for each in certificates if each.covers(name)), default="")
    if not until:
        return "no HTTPS for this name"
    return f"the one before {'expired at' if from_rfc3339(until) < now else 'is good until'} {until}"
