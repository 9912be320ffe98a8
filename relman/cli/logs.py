"""relman logs -e ENV: the service's logs of all hosts, merged by time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence

import click

from relman.cli.environments import open_environment, service_of
from relman.cli.options import environment_options
from relman.cli.render import Output
from relman.cli.verb import Context, verb
from relman.model.container import ENVIRONMENT, SERVICE
from relman.model.errors import RelmanError
from relman.rollout.fleet import Fleet, Session


@verb("logs")
@environment_options
@click.option("-n", "--tail", default=100, show_default=True, help="Lines of each host.")
@click.option("-f", "--follow", is_flag=True, help="Go on as new lines come.")
def logs(
    context: Context, environment: str, inventories: Sequence[str], service: str | None, tail: int, follow: bool
) -> None:
    """Show the logs of what serves on every host, merged by time."""
    chosen = open_environment(context, environment, inventories, (), None)
    name = service_of(chosen, service)
    with Fleet(chosen, name) as fleet:
        serving = fleet.each(lambda session: _serving(session, chosen.name, name))
        lines = fleet.each(
            lambda session: session.engine.logs(serving.answers[session.host.name], tail, timestamps=True),
            [h for h, container in serving.answers.items() if container],
        )
        merged = sorted((line, host) for host, found in lines.answers.items() for line in found)
        for line, host in merged:
            _show(context.output, host, line)
        for host, error in {**fleet.unreachable, **serving.errors, **lines.errors}.items():
            context.output.warn(f"{host}: {error.what}")
        if follow:
            _follow(context.output, fleet, {h: c for h, c in serving.answers.items() if c})


def _serving(session: Session, environment: str, service: str) -> str:
    own, _ = session.engine.survey({SERVICE: service, ENVIRONMENT: environment})
    return next((c.id for c in own if c.running), "")


def _show(output: Output, host: str, line: str) -> None:
    at, _, text = line.partition(" ")
    output.json("log", {"host": host, "at": at, "text": text})
    output.line(f"{host}  {at[:23]}  {text}")


def _follow(output: Output, fleet: Fleet, containers: dict[str, str]) -> None:
    """Show lines as they come, until every container has ended or a person has seen enough."""
    found: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()

    def read(session: Session) -> None:
        try:
            for line in session.engine.follow(containers[session.host.name], tail=0):
                found.put((session.host.name, line))
        except RelmanError as error:
            found.put((session.host.name, f"- {error.what}"))
        finally:
            found.put(None)

    for host in containers:
        threading.Thread(target=read, args=(fleet.sessions[host],), daemon=True).start()
    for host, line in _until_all_end(found, len(containers)):
        _show(output, host, line)


def _until_all_end(found: queue.SimpleQueue[tuple[str, str] | None], readers: int) -> Iterator[tuple[str, str]]:
    while readers:
        item = found.get()
        if item is None:
            readers -= 1
        else:
            yield item
