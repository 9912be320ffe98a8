"""Let the proxy of a host answer the challenges of an ACME authority, and use the certificates that come of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from relman.hosts.state_dir import proxy as kept
from relman.model.errors import StepFailed
from relman.model.proxy import Certificate, Challenge
from relman.model.state_dir.lock import Lock
from relman.model.state_dir.proxy import ProxyState
from relman.rollout.fleet import Session
from relman.rollout.proxy.apply import Applied
from relman.rollout.proxy.certificate_files import put, tidy
from relman.rollout.proxy.load import load
from relman.rollout.proxy.lock import proxy_locked


@dataclass(frozen=True)
class Issued:
    """A new certificate, and its PEM text with its private key."""

    certificate: Certificate
    pem: bytes = field(repr=False)


def answer(session: Session, challenges: Sequence[Challenge], holder: Lock) -> None:
    """Let the proxy of a host answer these, too. Raises StepFailed if it does not, Locked, and what the connection
    raises."""
    with proxy_locked(session, holder):
        state = _state(session)
        load(session, state, replace(state, challenges=(*state.challenges, *challenges)))


def install(session: Session, issued: Sequence[Issued], answered: Collection[Challenge], holder: Lock) -> Applied:
    """Let the proxy of a host use these in the place of those of their names, and answer no more challenges for them,
    nor those that are `answered`. Raises as `answer`; it then uses what it used."""
    names = {each.certificate.name for each in issued}
    with proxy_locked(session, holder):
        state = _state(session)
        others = [c for c in state.certificates if not (c.environment and c.name in names)]
        after = replace(
            state,
            certificates=(*others, *(each.certificate for each in issued)),
            challenges=tuple(c for c in state.challenges if c not in answered and c.host not in names),
        )
        put(session.connection, after, {each.certificate.file: each.pem for each in issued})
        load(session, state, after)
        tidy(session.connection, after)
    return Applied(f"has new certificates for {', '.join(sorted(names))}" if names else "is as before", bool(names))


def _state(session: Session) -> ProxyState:
    if (state := kept.read(session.connection)) is None:
        raise StepFailed("its proxy is gone", host=session.host.name, hint="relman proxy apply makes it")
    return state
