"""What the configuration of HAProxy says while certificates are got by ACME. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from relman.model.proxy import Backend, Challenge
from relman.model.state_dir.proxy import ProxyState
from relman.rollout.proxy import words


def answers(challenges: Sequence[Challenge]) -> Iterator[str]:
    """The lines of the HTTP frontend that answer an authority, for any host name and before all others."""
    for each in challenges:
        path = f"/.well-known/acme-challenge/{words.token(each.token)}"
        said = f"content-type application/octet-stream string {words.token(each.answer)}"
        yield f"  http-request return status 200 {said} if {{ path {path} }}"


def without_certificate(state: ProxyState, backend: Backend) -> Sequence[str]:
    """The host names that are not redirected to HTTPS, because their certificate is yet to come."""
    proxy = state.proxy
    if proxy.acme is None or proxy.trusted:
        return ()
    return [host for host in backend.route.hosts if not any(each.covers(host) for each in state.certificates)]
