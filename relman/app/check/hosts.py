"""Part of `relman check --hosts`: what each host of an environment lacks before it can be deployed to. Nothing is
changed there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relman.app.context import Context
from relman.app.factories import login_of
from relman.config.deploy import frozen, resolve_on
from relman.model.errors import PreflightFailed
from relman.model.formats.text import hosts_by, some
from relman.model.host import Environment
from relman.model.service import Service
from relman.rollout.fleet import Fleet
from relman.rollout.looking.readiness import Lack, Need, examine
from relman.rollout.proxy.build import doubt


@dataclass(frozen=True)
class Readiness:
    """What each host of an environment lacks, in the inventory's order."""

    environment: str
    lacks: Mapping[str, Sequence[Lack]]

    def require_all(self) -> None:
        """Raise PreflightFailed unless all hosts are ready."""
        if missing := [host for host, lacks in self.lacks.items() if lacks]:
            raise PreflightFailed(
                f"{len(missing)} of {len(self.lacks)} hosts of {self.environment} are not ready: {some(missing)}"
            )


def check_hosts(context: Context, chosen: Environment, service: Service | None) -> Readiness:
    """Check every host in parallel; with `service`, also what its deploy section needs."""
    needs = [_need(context, chosen, name, service) for name in sorted(chosen.services)]
    with Fleet(chosen, "") as fleet:
        doubts = fleet.each(doubt).answers
        for text, hosts in hosts_by(each for each in doubts.items() if each[1]).items():
            context.events.warn(f"{some(hosts)}: {text}")
        return Readiness(chosen.name, examine(fleet, needs))


def _need(context: Context, chosen: Environment, name: str, service: Service | None) -> Need:
    settings = {}
    if service and service.name == name:
        written = frozen(service)
        for host in chosen.hosts:
            origin = f"for {host.name} in {chosen.name}"
            settings[host.name] = resolve_on(host, name, written, origin=origin)
    return Need(name, settings, login_of(context, chosen.services[name]))
