"""What is there before a side is measured, and what has to be there afterwards."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial

from relman.evidence.promote import promote
from relman.model.container import DEPLOY_SECTION, SERVICE_NAME
from relman.model.image import ConfigDigest, Platform, Repository
from relman.model.run import CommandResult, Commit, RunName, TestReport
from relman.registry.auth import Credentials
from relman.registry.client import Registry
from tests.bench.sides import DEPLOY, RESTART, SERVICE, by_relman, repository
from tests.lab import images
from tests.lab.host import LabHost
from tests.lab.lab import Lab, at_once
from tests.lab.process import until

BALLAST = 1_000_000
BASE = "base"


def release(lab: Lab, tag: str, ballast: int) -> None:
    """Build and push an image, and make it a release with evidence, as a CI job does."""
    reference = f"{repository(lab)}:{tag}"
    labels = {SERVICE_NAME: SERVICE, DEPLOY_SECTION: json.dumps(DEPLOY)}
    with lab.ci.engine() as engine:
        image = images.busybox_image(engine, reference, version=tag, labels=labels, ballast=ballast)
        images.push(engine, reference, lab.registry.auth)
    report = TestReport(
        run=RunName(SERVICE, tag),
        service=SERVICE,
        config=ConfigDigest(image),
        platform=Platform("linux", "amd64"),
        commit=Commit(),
        commands=(CommandResult(("true",), 0, 0.0),),
    )
    credentials = Credentials(**lab.registry.auth)
    with Registry(lab.registry.address, credentials=credentials, ca=str(lab.registry.ca)) as registry:
        promote(registry, Repository.parse(repository(lab)), source=tag, report=report, release_tag=tag)


def log_in(lab: Lab) -> None:
    """Give every host's root the registry's password, which all but relman and the bare engines need there."""
    argv = ["docker", "login", "--username", lab.registry.auth["username"], "--password-stdin", lab.registry.address]
    at_once(partial(_run, host, argv, lab.registry.password) for host in lab.hosts)


def _run(host: LabHost, argv: Sequence[str], stdin: str) -> None:
    host.run(argv, stdin=stdin)


def prepare(lab: Lab, side: str) -> None:
    """Let every host serve the base image and hold nothing else; relman replaces only what relman put there."""
    at_once(partial(clean, host) for host in lab.hosts)
    if side == "relman":
        by_relman(lab, BASE)
    else:
        at_once(partial(start, host, repository(lab), lab.registry.auth) for host in lab.hosts)
    require(lab, BASE)


def clean(host: LabHost) -> None:
    """Remove every container, image and record."""
    with host.engine() as engine:
        for container in engine.containers(all=True):
            engine.remove_container(container["Id"], force=True, v=True)
        engine.prune_images({"dangling": False})
    host.run(["rm", "-rf", "/var/lib/relman"])


def start(host: LabHost, name: str, auth: Mapping[str, str]) -> None:
    """Start the base image under the service's name."""
    with host.engine() as engine:
        images.pull(engine, name, BASE, auth)
        images.run(engine, f"{name}:{BASE}", SERVICE, port=images.PORT, restart=RESTART)


def require(lab: Lab, tag: str) -> None:
    """Wait until every host serves `tag`; raise LabError for one that does not, so that no side gets away with less."""
    for host in lab.hosts:
        until(partial(serves, host, tag), f"{host.name} to serve {tag}", 10)


def serves(host: LabHost, tag: str) -> bool:
    """Whether a visitor of the host gets `tag` now."""
    try:
        return host.http(images.PORT, "/version").text.strip() == tag
    except OSError:
        return False
