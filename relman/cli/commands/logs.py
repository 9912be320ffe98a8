"""relman logs -e ENV: the service's logs of all hosts, merged by time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Collection, Mapping, Sequence

import click

from relman.app.environments import open_environment, service_of, unknown_service
from relman.cli.options import environment_options, hosts_options
from relman.cli.output.printer import Output
from relman.cli.verb import Context, verb
from relman.model.container import Container
from relman.model.errors import InternalError, RelmanError, Unknown
from relman.model.host import Environment, Host
from relman.rollout.fleet import Fleet, Session
from relman.rollout.looking.log_tail import tail as tail_of
from relman.rollout.looking.observe import observe


@verb("logs")
@environment_options
@hosts_options("--limit")
@click.option(
    "-n", "--tail", type=click.IntRange(min=0), default=100, show_default=True, metavar="N", help="Lines of each host."
)
@click.option("-f", "--follow", is_flag=True, help="Follow new lines, across deployments too.")
def logs(
    context: Context,
    environment: str,
    inventories: Sequence[str],
    service: str | None,
    only: Sequence[str],
    exclude: Sequence[str],
    tail: int,
    follow: bool,
) -> None:
    """Show the logs of what serves on every host, merged by time.

    Where nothing serves, of what served last.
    """
    chosen = open_environment(context, environment, inventories, only, exclude)
    name = service_of(chosen, service)
    with Fleet(chosen, name) as fleet:
        seen = fleet.each(lambda session: _speaking(session, chosen.name, name))
        speaking = {host: container for host, container in seen.answers.items() if container}
        lines = fleet.each(
            lambda session: session.engine.logs(speaking[session.host.name].id, tail, timestamps=True), speaking
        )
        merged = sorted((line, host) for host, found in lines.answers.items() for line in found)
        for line, host in merged:
            _show(context.output, host, line)
        failed = {**fleet.unreachable, **seen.errors, **lines.errors}
        if not speaking and not failed and name not in chosen.services:
            raise unknown_service(chosen, name)
        _remark(context.output, chosen, name, seen.answers, failed)
        if not merged and speaking and tail:
            context.output.note(f"{name} has logged nothing yet")
        if follow:
            begun = {
                host: (container, lines.answers.get(host) if tail else None)
                for host, container in seen.answers.items()
                if container is None or host in lines.answers
            }
            failed |= _follow(context.output, fleet, name, begun)
    if failed:
        raise Unknown(f"no logs from {', '.join(h.name for h in _in_order(chosen, failed))}")


def _speaking(session: Session, environment: str, service: str) -> Container | None:
    """The container that serves; where none does, the one that should, or else the newest."""
    seen = observe(session, environment, service)
    should = seen.container_of(seen.record.current) if seen.record.current else None
    return seen.serving or should or next(iter(seen.containers), None)


def _remark(
    output: Output,
    chosen: Environment,
    service: str,
    speaking: Mapping[str, Container | None],
    failed: Mapping[str, RelmanError],
) -> None:
    """Say of which hosts these are not the lines of what serves."""
    for host in _in_order(chosen, speaking):
        container = speaking[host.name]
        if container is None:
            output.warn(f"{host.name}: there is no container of {service}")
        elif not container.running:
            ended = f"exit code {container.exit_code}" + (", out of memory" if container.oom_killed else "")
            output.warn(f"{host.name}: nothing serves; {container.name} is {container.status} ({ended})")
    for host in _in_order(chosen, failed):
        output.warn(f"{host.name}: {failed[host.name].what}")


def _in_order(chosen: Environment, names: Collection[str]) -> list[Host]:
    return [host for host in chosen.hosts if host.name in names]


def _show(output: Output, host: str, line: str) -> None:
    at, _, text = line.partition(" ")
    output.json("log", {"host": host, "at": at, "text": text})
    output.line(f"{host}  {at[:23]}  {text}")


def _follow(
    output: Output, fleet: Fleet, service: str, begun: Mapping[str, tuple[Container | None, list[str] | None]]
) -> dict[str, RelmanError]:
    """Show lines as they come, after those that were shown of each host's container, until a person has seen enough or
    no host is left; each one that is lost is said at once. Returns what became of these."""
    found: queue.SimpleQueue[tuple[str, str | RelmanError]] = queue.SimpleQueue()

    def read(session: Session) -> None:
        host = session.host.name
        container, shown = begun[host]
        try:
            for line in tail_of(session, fleet.environment.name, service, container, shown, output.note):
                found.put((host, line))
        except RelmanError as error:
            found.put((host, error))
        except Exception as error:
            found.put((host, InternalError.of(error, host)))

    for host in begun:
        threading.Thread(target=read, args=(fleet.sessions[host],), daemon=True).start()
    gone: dict[str, RelmanError] = {}
    while len(gone) < len(begun):
        host, said = found.get()
        if isinstance(said, RelmanError):
            gone[host] = said
            output.warn(f"{host}: {said.what}; its lines end here")
        else:
            _show(output, host, said)
    return gone
