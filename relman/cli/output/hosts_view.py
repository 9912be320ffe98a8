"""relman check --hosts: what each host lacks before it can be deployed to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from relman.app.factories import login_of
from relman.cli.output.printer import Output
from relman.cli.verb import Context
from relman.config.deploy import resolve
from relman.model.errors import PreflightFailed
from relman.model.host import Environment
from relman.model.service import Service
from relman.model.text import some
from relman.rollout.fleet import Fleet
from relman.rollout.looking.readiness import Lack, Need, examine


def check_hosts(context: Context, chosen: Environment, service: Service | None) -> None:
    """Ask every host what is missing, and show it once for all hosts where it is the same, with what to type. Raises
    PreflightFailed unless all are ready."""
    needs = [_need(context, chosen, name, service) for name in sorted(chosen.services)]
    with Fleet(chosen, "") as fleet:
        found = examine(fleet, needs)
    output = context.output
    hosts = [
        {"host": host, "ready": not lacks, "missing": [asdict(lack) for lack in lacks]} for host, lacks in found.items()
    ]
    output.json("hosts", {"environment": chosen.name, "hosts": hosts})
    _show(output, found)
    if missing := [host for host, lacks in found.items() if lacks]:
        raise PreflightFailed(f"{len(missing)} of {len(found)} hosts of {chosen.name} are not ready: {some(missing)}")


def _need(context: Context, chosen: Environment, name: str, service: Service | None) -> Need:
    settings = {}
    if service and service.name == name:
        for host in chosen.hosts:
            origin = f"for {host.name} in {chosen.name}"
            settings[host.name] = resolve(
                service.deploy, host.variables, host.env, origin=origin, secret=host.secret_variables
            )
    return Need(name, settings, login_of(context, chosen.services[name]))


def _show(output: Output, found: Mapping[str, Sequence[Lack]]) -> None:
    ready = [host for host, lacks in found.items() if not lacks]
    if ready:
        output.line(f"ready: {', '.join(ready)}")
    hosts: dict[Lack, list[str]] = {}
    for host, lacks in found.items():
        for lack in dict.fromkeys(lacks):
            hosts.setdefault(lack, []).append(host)
    for lack, names in hosts.items():
        output.line(f"{', '.join(names)}: {lack.kind}: {lack.what}")
        if lack.fix:
            output.line(f"    {lack.fix}")
