"""Measure relman: replace a container on 20 lab hosts (with FULL=1 also on 3 and 10), beside plain ssh and the limit.

python -m tests.e2e.bench; the lab is its own (RELMAN_LAB_ID, default 90) and gone afterwards. Each round has a new
image; the three sides take turns at being first; only the replacing is timed. ROUNDS (default 5) may ask for more.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from statistics import median

from relman.evidence.promote import promote
from relman.model.container import DEPLOY_SECTION, SERVICE_NAME
from relman.model.image import ConfigDigest, Platform, Repository
from relman.model.run import CommandResult, Commit, RunName, TestReport
from relman.registry.auth import Credentials
from relman.registry.client import Registry
from tests.e2e import bench_evidence
from tests.e2e.bench_sides import DEPLOY, RESTART, SERVICE, SIDES, log_in, repository
from tests.lab import images
from tests.lab.host import LabHost
from tests.lab.lab import Lab, at_once
from tests.lab.layout import LabError, Layout
from tests.lab.process import until

BALLAST = 1_000_000
BASE = "base"
Times = dict[str, list[float]]


def main() -> int:
    """Bring up the lab, measure, print, take it down; return the exit code."""
    lab = Lab(Layout.numbered(int(os.environ.get("RELMAN_LAB_ID", "90")), os.environ))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _bench(lab, (3, 10, 20) if os.environ.get("FULL") == "1" else (20,), int(os.environ.get("ROUNDS", "5")))
    except KeyboardInterrupt:
        return 130
    except LabError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        lab.down()
    bench_evidence.main()
    return 0


def _bench(lab: Lab, sizes: Sequence[int], rounds: int) -> None:
    tags = [f"round-{i}" for i in range(1, rounds + 1)]
    lab.up(sizes[0])
    release(lab, BASE, 0)
    for tag in tags:
        release(lab, tag, BALLAST)
    measured: dict[int, Times] = {}
    for size in sizes:
        lab.up(size)
        log_in(lab)
        measured[size] = measure(lab, tags)
        print("\n".join(table(size, measured[size])), flush=True)
    print("\n".join(line for size, times in measured.items() for line in ratios(size, times)), flush=True)


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


def measure(lab: Lab, tags: Sequence[str]) -> Times:
    """The seconds that each side took in each round, which begins with another side each time."""
    times: Times = {side: [] for side in SIDES}
    order = list(SIDES)
    for tag in tags:
        for side in order:
            prepare(lab, side)
            times[side].append(SIDES[side](lab, tag))
            require(lab, tag)
        order = [*order[1:], order[0]]
        print(f"{len(lab.hosts)} hosts, {tag}:", *(f"{s} {times[s][-1]:.2f} s" for s in times), flush=True)
    return times


def prepare(lab: Lab, side: str) -> None:
    """Let every host serve the base image and hold nothing else, put there by the side that is measured next."""
    at_once(partial(clean, host) for host in lab.hosts)
    if side == "relman":
        SIDES[side](lab, BASE)
    else:
        at_once(partial(serve, host, repository(lab), lab.registry.auth) for host in lab.hosts)
    require(lab, BASE)


def clean(host: LabHost) -> None:
    """Remove every container, image and record."""
    with host.engine() as engine:
        for container in engine.containers(all=True):
            engine.remove_container(container["Id"], force=True, v=True)
        engine.prune_images({"dangling": False})
    host.run(["rm", "-rf", "/var/lib/relman"])


def serve(host: LabHost, name: str, auth: Mapping[str, str]) -> None:
    """Start the base image under the service's name."""
    with host.engine() as engine:
        images.pull(engine, name, BASE, auth)
        images.run(engine, f"{name}:{BASE}", SERVICE, port=images.PORT, restart=RESTART)


def require(lab: Lab, tag: str) -> None:
    """Wait until every host serves `tag`; raise LabError for one that does not, so that no side gets away with less."""
    for host in lab.hosts:
        until(partial(_serves, host, tag), f"{host.name} to serve {tag}", 10)


def _serves(host: LabHost, tag: str) -> bool:
    try:
        return host.http(images.PORT, "/version").text.strip() == tag
    except OSError:
        return False


def table(size: int, times: Times) -> list[str]:
    """Median and spread of each side."""
    rows = [f"{side:8}{median(t):8.2f}{min(t):8.2f}{max(t):8.2f}" for side, t in times.items()]
    return [f"{size} hosts, {len(times['ssh'])} rounds, seconds", f"{'':8}{'median':>8}{'min':>8}{'max':>8}", *rows]


def ratios(size: int, times: Times) -> list[str]:
    """The lines that the project is measured by."""
    relman = median(times["relman"])
    return [f"relman/{side} {relman / median(times[side]):.2f} at {size} hosts" for side in ("ssh", "engine")]


if __name__ == "__main__":
    sys.exit(main())
