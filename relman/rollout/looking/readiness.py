"""What a host lacks for a deployment, each with the command that fixes it; nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from relman.hosts.state_dir import location
from relman.model.container import ENVIRONMENT, SERVICE
from relman.model.errors import AccessDenied, EngineError, HostKeyRejected, RelmanError, Unreachable
from relman.model.host import Environment
from relman.model.settings import DeploySettings
from relman.registry.auth import Login
from relman.rollout.busy_ports import accepts
from relman.rollout.fleet import Fleet, Session
from relman.rollout.images.registry_offer import has_answered, place_of, require_offer
from relman.rollout.looking.askable import why_mute


@dataclass(frozen=True)
class Lack:
    """Something that is missing on a host: its kind ("host key", "sign-in", "connection", "engine", "state directory",
    "registry", "port", "health"), what was found, and what to type."""

    kind: str
    what: str
    mend: str


@dataclass(frozen=True)
class Need:
    """What the hosts need to have: a `service`, its settings on each host if known, and the login of its registry."""

    service: str
    settings: Mapping[str, DeploySettings]
    login: Login | None = None


def examine(fleet: Fleet, needs: Sequence[Need]) -> Mapping[str, Sequence[Lack]]:
    """What each host of the environment lacks, in the inventory's order."""
    found = fleet.ask(lambda session: list(_lacks(session, fleet.environment, needs)))
    return {
        host.name: [_connecting(found.errors[host.name])] if host.name in found.errors else found.answers[host.name]
        for host in fleet.environment.hosts
    }


def _connecting(error: RelmanError) -> Lack:
    kinds: Mapping[type[RelmanError], str] = {HostKeyRejected: "host key", AccessDenied: "sign-in"}
    return Lack(kinds.get(type(error), "connection"), error.what, error.hint)


def _lacks(session: Session, environment: Environment, needs: Sequence[Need]) -> Iterator[Lack]:
    for need in needs:
        where = (session.connection, environment.name, need.service)
        yield from _unless("state directory", lambda where=where: location.require_room(*where))  # type: ignore[misc]
    engine = list(_unless("engine", session.engine.require_updates))
    yield from engine
    if engine:
        return
    for need in needs:
        yield from _registry(session, environment, need)
        yield from _ports(session, environment, need)
        yield from _health(session, need)


def _unless(kind: str, work: Callable[[], object]) -> Iterator[Lack]:
    try:
        work()
    except RelmanError as error:
        if not isinstance(error, Unreachable) or kind == "engine":
            yield Lack(kind, error.what, error.hint)
            return
        raise


def _registry(session: Session, environment: Environment, need: Need) -> Iterator[Lack]:
    """Check that the host's engine can reach, trust and log in to the registry, whether or not it has the image."""
    repository = environment.services[need.service]
    auth = need.login.auth_config if need.login else None
    if place_of(repository):
        yield from _unless("registry", lambda: require_offer(session, repository, auth))
        return
    try:
        session.engine.ask_registry(repository, auth)
    except EngineError as error:
        if error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            fix = f"on this machine: docker login {repository.registry}"
        elif has_answered(error):
            return
        else:
            there = f"/etc/docker/certs.d/{repository.registry}/ca.crt"
            fix = (
                f"if its CA is not known there, on the host: sudo install -D -m 644 CA.crt {there}; "
                "if it has no TLS, name it under insecure-registries in the host's /etc/docker/daemon.json"
            )
        yield Lack("registry", error.what, fix)


def _health(session: Session, need: Need) -> Iterator[Lack]:
    settings = need.settings.get(session.host.name)
    if settings and (why := next(filter(None, (why_mute(session, run) for run in settings.runs)), "")):
        fix = "correct that, or build it with health: {image: true} or health: {command: [...]}"
        yield Lack("health", f"the health of {need.service} cannot be checked: {why}", fix)


def _ports(session: Session, environment: Environment, need: Need) -> Iterator[Lack]:
    settings = need.settings.get(session.host.name)
    if settings is None:
        return
    own, listed = session.engine.survey({SERVICE: need.service, ENVIRONMENT: environment.name})
    ours = {container.name for container in own}
    for port in filter(None, (p.binding for run in settings.runs for p in run.ports)):
        name, held = (
            f"port {port.port}/{port.protocol}",
            [row.name for row in listed for taken in row.ports if taken.collides(port)],
        )
        for owner in dict.fromkeys(held):
            if owner not in ours:
                fix = f"on the host: docker stop {owner}; or give {need.service} another port"
                yield Lack("port", f"{name} is taken by the container {owner}", fix)
        if not held and port.protocol == "tcp" and accepts(session, port):
            fix = f"on the host, sudo ss -ltnp 'sport = :{port.port}' names it"
            yield Lack("port", f"{name} is taken by a process", fix)
