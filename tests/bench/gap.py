"""How long a host serves nothing while relman replaces its container, beside a bare stop and start of the engine.

Both on one host, with the new container created before, and in turns. relman's figures are those that it reports to its
user: `gap`, from the old container's stop to the new one's start, is compared; `boot`, the application's own time until
it was first seen healthy, is shown.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from statistics import median

from tests.bench.sides import SERVICE, STOP_TIMEOUT, Engine, container, deploy, repository
from tests.bench.stage import prepare, require
from tests.lab import images
from tests.lab.lab import Lab

ROUNDS = 9


def measure(lab: Lab, tags: Sequence[str]) -> list[str]:
    """Print the figures of the lab's first host, its only one, and return the line that the project is measured by."""
    figures: dict[Callable[[Lab, str], tuple[float, ...]], list[tuple[float, ...]]] = {by_relman: [], by_engine: []}
    for number in range(ROUNDS):
        tag = tags[number % len(tags)]
        for side in list(figures)[:: -1 if number % 2 else 1]:
            figures[side].append(side(lab, tag))
            require(lab, tag)
    gaps, boots = zip(*figures[by_relman], strict=True)
    (bare,) = zip(*figures[by_engine], strict=True)
    for name, times in (("relman's gap", gaps), ("engine's stop and start", bare), ("application's boot", boots)):
        print(f"{name}: median {median(times):.3f} s, min {min(times):.3f} s, max {max(times):.3f} s", flush=True)
    return [f"gap/engine {median(gaps) / median(bare):.2f} on one host (at most 1.3)"]


def by_relman(lab: Lab, tag: str) -> tuple[float, float]:
    """The gap and the boot that relman reports, in seconds."""
    prepare(lab, "relman")
    _, said = deploy(lab, tag, "--json")
    report = next(d for d in map(json.loads, said.splitlines()) if d["kind"] == "report")
    return report["hosts"][0]["gap"], report["hosts"][0]["boot"]


def by_engine(lab: Lab, tag: str) -> tuple[float]:
    """The seconds of stop and start through the engine's own socket."""
    prepare(lab, "engine")
    host, new = lab.hosts[0], f"{SERVICE}-new"
    with host.engine() as client:
        images.pull(client, repository(lab), tag, lab.registry.auth)
    engine = Engine(str(host.path("/run/docker.sock")))
    engine.call("POST", f"/containers/create?name={new}", container(f"{repository(lab)}:{tag}"))
    begin = time.monotonic()
    engine.call("POST", f"/containers/{SERVICE}/stop?t={STOP_TIMEOUT}")
    engine.call("POST", f"/containers/{new}/start")
    seconds = time.monotonic() - begin
    engine.close()
    return (seconds,)
