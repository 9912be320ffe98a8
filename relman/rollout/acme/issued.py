"""Certificates that were got by ACME, as the hosts keep them: which stay, and which are to be renewed.

They are the hosts' own: no machine that deploys keeps one, and no private key is read back from a host. So any machine
can renew; and where a host lacks a certificate a new one is got, for all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from relman.hosts.state_dir import proxy as kept
from relman.model.formats.clock import from_rfc3339
from relman.model.proxy import Certificate, Challenge
from relman.model.state_dir.proxy import ProxyState
from relman.rollout.fleet import Session


def held(session: Session) -> tuple[Certificate, ...]:
    """Those that a host has, with their files. Raises what the connection raises."""
    state = kept.read(session.connection)
    return present(session, state) if state else ()


def present(session: Session, state: ProxyState) -> tuple[Certificate, ...]:
    """Those of this state whose files are there. Raises what the connection raises."""
    issued = [each for each in state.certificates if each.environment]
    files = kept.certificate_files(session.connection) if issued else frozenset()
    return tuple(each for each in issued if each.file in files)


def staying(
    state: ProxyState, there: Iterable[Certificate], wanted: Collection[str], environment: str, now: datetime
) -> tuple[Certificate, ...]:
    """Of those that are `there` the ones that stay when an environment is applied that wants some for these host names:
    of its own those, of others all that count or are routed. Pure."""
    routed = {host for backend in state.backends for host in backend.route.hosts}

    def stays(each: Certificate) -> bool:
        if each.environment == environment:
            return each.name in wanted
        return from_rfc3339(each.until) > now or each.name in routed

    return tuple(filter(stays, there))


def unanswered(
    challenges: Iterable[Challenge], certificates: Collection[Certificate], now: datetime
) -> tuple[Challenge, ...]:
    """The challenges whose host name has no good certificate yet. Pure."""
    return tuple(each for each in challenges if not _is_good(each.host, certificates, now))


def lacking(
    wanted: Mapping[str, Collection[str]], there: Mapping[str, Collection[Certificate]], now: datetime
) -> tuple[str, ...]:
    """The host names that need a new certificate: of which a host has none, or one that is to be renewed. Pure."""
    return tuple(dict.fromkeys(n for host, ns in wanted.items() for n in ns if not _is_good(n, there[host], now)))


def _is_good(name: str, certificates: Iterable[Certificate], now: datetime) -> bool:
    return any(each.covers(name) and not each.is_to_renew(now) for each in certificates)
