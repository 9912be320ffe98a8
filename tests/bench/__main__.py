"""Measure relman beside plain ssh, Ansible, pyinfra and the bare engines: replace a container on 5 and 20 lab hosts.

`make bench` installs the peers and runs it; the lab is its own (RELMAN_LAB_ID, default 90) and gone afterwards. Each
round has a new image, and is measured with hosts that are near and with the same hosts far away; the sides take turns
at being first. Only the replacing is timed, from the start of the program to its end; then every host must serve.

Far: every byte between a program and a host's sshd comes DELAY ms later, each way, so that a round trip takes twice
that. The delay sits in front of sshd (`LabHost.delay`), after TCP's own handshake, which therefore costs and counts
nothing; the registry is as near as ever. The engines alone have no network to be far away on: their near figure is the
limit for both. (far - near) / (2 * DELAY) is the number of round trips a host, SSH's handshake included, that can be
seen in a side's figure. What else far hosts cost, as the work of the delaying proxies on this machine, is in it.

Variables: ROUNDS (default 3); HOSTS, how many (5,20); SIDES (all: relman,ssh,engine,ansible,pyinfra).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from statistics import median

from tests.bench import gap
from tests.bench.peers import PEERS, prepare_peers
from tests.bench.sides import SIDES, Side
from tests.bench.stage import BALLAST, BASE, log_in, prepare, release, require, serves
from tests.lab.host import LabHost
from tests.lab.lab import Lab, at_once
from tests.lab.layout import LabError, Layout

ALL: Mapping[str, Side] = SIDES | PEERS
DELAY = 50
NEAR, FAR = "near", f"{DELAY} ms away"
Times = dict[str, list[float]]


def main() -> int:
    """Bring up the lab, measure, print, take it down; return the exit code."""
    lab = Lab(Layout.numbered(int(os.environ.get("RELMAN_LAB_ID", "90")), os.environ))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _bench(lab, _listed("SIDES", ALL), [int(n) for n in _listed("HOSTS", ("5", "20"))])
    except KeyboardInterrupt:
        return 130
    except LabError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        lab.down()
    return 0


def _listed(variable: str, default: Iterable[str]) -> list[str]:
    return os.environ.get(variable, ",".join(default)).split(",")


def _bench(lab: Lab, sides: Sequence[str], sizes: Sequence[int]) -> None:
    if unknown := set(sides) - set(ALL):
        raise LabError(f"SIDES has {', '.join(sorted(unknown))}: there are {', '.join(ALL)}")
    tags = [f"round-{i}" for i in range(1, int(os.environ.get("ROUNDS", "3")) + 1)]
    prepare_peers(sides)
    lab.up(2)
    log_in(lab)
    release(lab, BASE, 0)
    for tag in tags:
        release(lab, tag, BALLAST)
    shun_strangers(lab, sides, tags[0])
    lab.up(1)
    said = gap.measure(lab, tags)
    for size in sizes:
        lab.up(size)
        log_in(lab)
        near, far = measure(lab, sides, tags)
        print("\n".join([*table(f"{size} hosts, {NEAR}", near), *table(f"{size} hosts, {FAR}", far)]), flush=True)
        said += [*ratios(size, NEAR, near, near), *ratios(size, FAR, far, near), *round_trips(size, near, far)]
    print("\n".join(said), flush=True)


def shun_strangers(lab: Lab, sides: Sequence[str], tag: str) -> None:
    """Raise LabError for a side that works on a host with another key than the known one, and so saves the check."""
    stranger = lab.hosts[0]
    for side in _over_ssh(sides):
        prepare(lab, side)
        stranger.change_host_key()
        with suppress(LabError):
            ALL[side](lab, tag)
        if serves(stranger, tag):
            raise LabError(f"{side} trusts a host that shows another key than known_hosts has")
        stranger.restore_host_key()


def _over_ssh(sides: Sequence[str]) -> list[str]:
    return [side for side in sides if side != "engine"]


def measure(lab: Lab, sides: Sequence[str], tags: Sequence[str]) -> tuple[Times, Times]:
    """The seconds that each side took in each round, near and far; each round begins with another side."""
    near: Times = {side: [] for side in sides}
    far: Times = {side: [] for side in _over_ssh(sides)}
    for number, tag in enumerate(tags):
        first = number % len(sides)
        order = [*sides[first:], *sides[:first]]
        measure_round(lab, order, tag, near)
        with away(lab.hosts):
            measure_round(lab, _over_ssh(order), tag, far)
        for name, times in ((NEAR, near), (FAR, far)):
            seconds = (f"{side} {taken[-1]:.2f} s" for side, taken in times.items())
            print(f"{len(lab.hosts)} hosts, {name}, {tag}:", *seconds, flush=True)
    return near, far


def measure_round(lab: Lab, order: Sequence[str], tag: str, times: Times) -> None:
    """Let each side replace the base image by `tag` once, and note the seconds."""
    for side in order:
        prepare(lab, side)
        times[side].append(ALL[side](lab, tag))
        require(lab, tag)


@contextmanager
def away(hosts: Sequence[LabHost]) -> Iterator[None]:
    """Let the hosts be far away."""
    with ExitStack() as stack:
        at_once(partial(stack.enter_context, host.delay(DELAY)) for host in hosts)
        yield


def table(title: str, times: Times) -> list[str]:
    """Median and spread of each side."""
    rows = [f"{side:8}{median(t):8.2f}{min(t):8.2f}{max(t):8.2f}" for side, t in times.items()]
    return [f"{title}, seconds", f"{'':8}{'median':>8}{'min':>8}{'max':>8}", *rows]


def ratios(size: int, where: str, times: Times, near: Times) -> list[str]:
    """The lines that the project is measured by; the engines' limit is always the near one."""
    medians = {side: median(t) for side, t in (near | times).items()}
    pairs = (("relman", "ssh"), ("relman", "engine"), ("ansible", "relman"), ("pyinfra", "relman"))
    return [
        f"{one}/{other} {medians[one] / medians[other]:.2f} at {size} hosts, {where}"
        for one, other in pairs
        if {one, other} <= set(medians)
    ]


def round_trips(size: int, near: Times, far: Times) -> list[str]:
    """How many round trips a host can be seen in each side's figure."""
    seen = (f"{side} {(median(t) - median(near[side])) * 1000 / (2 * DELAY):.1f}" for side, t in far.items())
    return [f"visible round trips of {2 * DELAY} ms at {size} hosts (relman: at most 20): {', '.join(seen)}"]


if __name__ == "__main__":
    sys.exit(main())
