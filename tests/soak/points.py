"""One point: something happens before the Nth change of a command; then everything must come right again."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tests.e2e.proxied import haproxy
from tests.e2e.stage import ALL_AT_ONCE, DEPLOY, PORT, Stage
from tests.lab.lab import at_once
from tests.lab.process import patience, until
from tests.soak.left_behind import files_of, service_containers, tidy

AT_ONCE = {
    **DEPLOY,
    "health": {**DEPLOY["health"], "window": "0s", "timeout": f"{3 * patience():.0f}s"},
    "max_unavailable": 1,
    "keep": 1,
    "secrets": {"word": None},
}
SECRETS = {"word": {"command": ["echo", "soaked"]}}
IDLE = {"command": ["busybox", "sleep", "1000"], "health": {"none": True, "window": "0s"}, "ports": []}
PROCESSES = {"web": {}, "worker": IDLE, "scheduler": {**IDLE, "order": "stop-first"}}
MIDDLE = 0.7  # where in a deployment the death is that a recovery has to recover from


@dataclass(frozen=True)
class Kind:
    """What is deployed: its releases, how, and how many containers of each process may run after a reboot."""

    name: str
    tags: tuple[str, str, str]
    deploy: Mapping[str, Any]
    booted: Mapping[str, Collection[int]]


SERVICE = Kind("a service", ("s1", "s2", "s3"), AT_ONCE, {"": (1,)})
# The worker's old and new containers may come back together; those that share a port or stop first never do.
SET = Kind(
    "a set",
    ("set-1", "set-2", "set-3"),
    {**AT_ONCE, "processes": PROCESSES},
    {"web": (1,), "worker": (1, 2), "scheduler": (0, 1)},
)
# It is reached where the others are, by a proxy that has this port of the host.
PROXIED = Kind(
    "a service behind a proxy",
    ("way-1", "way-2", "way-3"),
    {**AT_ONCE, "ports": [], "proxy": {"port": PORT, "response_timeout": "1s"}},
    {"": (1, 2)},
)
KINDS = (SERVICE, SET, PROXIED)


@dataclass(frozen=True)
class Point:
    """`action` before change `number` of `command`."""

    command: str
    action: str
    number: int

    def __str__(self) -> str:
        return f"{self.action} before change {self.number} of a {self.command}"


class Soak:
    """A stage on which points are tried."""

    def __init__(self, stage: Stage, kind: Kind = SERVICE) -> None:
        self.stage, self.kind = stage, kind
        self._counted: dict[str, int] = {}

    def prepare(self) -> None:
        """Three releases without a health window, so that a point costs little. All were there once: a host keeps two
        of them, so that every deployment of the third pulls one image and drops another."""
        proxy: dict[str, Any] = {}
        if "proxy" in self.kind.deploy:
            image = haproxy(self.stage, 1)
            proxy = {"relman_proxy": {"image": image, "http": PORT, "keep_alive": "1s"}, "relman_routes": {"demo": {}}}
        self.stage.write_inventory(relman_secrets=SECRETS, **proxy)
        self._make_proxies()
        for tag in self.kind.tags:
            self.stage.release(tag, deploy=self.kind.deploy)
            self.stage.deploy(tag, *ALL_AT_ONCE)

    def changes(self, command: str) -> int:
        """How many changes of hosts the command makes."""
        if command not in self._counted:
            COMMANDS[command].before(self)
            self.run(Point(command, "count", 0))
            self._counted[command] = self._count()
        return self._counted[command]

    def _count(self) -> int:
        """How many changes the last command made that came to its end."""
        return self._counts()[0]

    def _counts(self) -> list[int]:
        return [int(each) for each in (self.stage.home / "count").read_text().split()]

    def reloads(self, command: str) -> list[int]:
        """Which of the changes of the command are reloads of a proxy."""
        COMMANDS[command].before(self)
        self.run(Point(command, "count", 0))
        return self._counts()[1:]

    def run(self, point: Point) -> int:
        """Run the command; returns how it ended."""
        lab = self.stage.lab.layout.id
        head = ("tests.soak.boundaries", str(lab), point.action, str(point.number), str(self.stage.home / "count"))
        done = self.stage.run(*head, *COMMANDS[point.command].arguments(self.kind))
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode

    def reset(self) -> None:
        """Hosts as new, whatever the last trial left."""
        at_once(host.reset for host in self.stage.lab.hosts)
        self._make_proxies()

    def _make_proxies(self) -> None:
        if "proxy" in self.kind.deploy:
            self.stage.relman("proxy", "apply", "-e", "production")

    def trial(self, point: Point) -> str:
        """Try one point; returns how long it took. Raises AssertionError with the point in its text."""
        begin = time.monotonic()
        try:
            COMMANDS[point.command].before(self)
            code = self.run(point)
            # With a slow host more is written: one run may make fewer changes than the one in which they were counted.
            assert point.action != "kill" or code == -9 or self._count() < point.number, f"ended with {code}"
            self._check_now(point)
            if code == 0 and point.command in RESULTS:
                assert self._releases() == {self.kind.tags[RESULTS[point.command]]}, "it said that it is done"
            at_once(host.mend for host in self.stage.lab.hosts)
            # For a moment after that the kernel remembers that nobody answered.
            until(lambda: all(host.ssh_answers() for host in self.stage.lab.hosts), "every host to be reached", 10)
            self._resolve()
        except AssertionError as error:
            raise AssertionError(f"{self.kind.name}: {point}: {error}") from error
        return f"{time.monotonic() - begin:.1f} s"

    def _check_now(self, point: Point) -> None:
        """Every host serves, except for one inside its gap; one that was rebooted runs one container of the two."""
        running = self._running()
        dark = [name for name, counts in running.items() if 0 in counts.values()]
        assert len(dark) <= 1, f"dark: {dark}"
        if point.action == "reboot":
            fits = [counts[name] in most for counts in running.values() for name, most in self.kind.booted.items()]
            assert all(fits), f"running after the reboot: {running}"

    def _running(self) -> dict[str, dict[str, int]]:
        """How many containers of each process every host runs that can be reached."""
        reached = [h for h in self.stage.lab.hosts if h.ssh_answers()]
        found = {h.name: [c["Labels"].get("relman.process", "") for c in service_containers(h)] for h in reached}
        return {host: {name: names.count(name) for name in self.kind.booted} for host, names in found.items()}

    def _releases(self) -> set[str]:
        """The releases that run."""
        return {c["Labels"]["relman.release"] for host in self.stage.lab.hosts for c in service_containers(host)}

    def _resolve(self) -> None:
        """What a person does next: deploy; where that is refused, all hosts serve by then, and recover resolves it."""
        stage = self.stage
        last = self.kind.tags[2]
        again = ("deploy", last, "-e", "production", "--yes", *ALL_AT_ONCE)
        ended = stage.any(*again)
        if ended.code == 7:
            until(lambda: "-" not in stage.versions(), "every host to serve again", 10)
            assert all(all(counts.values()) for counts in self._running().values()), f"dark: {self._running()}"
            stage.relman("recover", "-e", "production")
            ended = stage.any(*again)
        assert ended.code == 0, f"the next deployment ended with {ended.code}: {ended.text}"
        stage.serve(last)
        if any(len(files_of(host)) > 1 for host in stage.lab.hosts):
            stage.relman("recover", "-e", "production")  # sweeps up what was half written when no lock was held yet
        for host in stage.lab.hosts:
            tidy(host)


@dataclass(frozen=True)
class Command:
    """What is interrupted, and how the hosts are before it."""

    arguments: Callable[[Kind], tuple[str, ...]]
    before: Callable[[Soak], None]


def _one_release(soak: Soak) -> None:
    soak.stage.deploy(soak.kind.tags[0], *ALL_AT_ONCE)


def _two_releases(soak: Soak) -> None:
    _one_release(soak)
    soak.stage.deploy(soak.kind.tags[1], *ALL_AT_ONCE)


def _interrupted(soak: Soak) -> None:
    """A deployment that died in the gap of a host."""
    number = round(soak.changes("deployment") * MIDDLE)
    _one_release(soak)
    assert soak.run(Point("deployment", "kill", number)) == -9


COMMANDS: Mapping[str, Command] = {
    "deployment": Command(lambda kind: ("deploy", kind.tags[1], "-e", "production", "--yes"), _one_release),
    "rollback": Command(lambda _: ("rollback", "-e", "production", "--yes"), _two_releases),
    "recovery": Command(lambda _: ("recover", "-e", "production"), _interrupted),
}
# Which of its kind's releases a command deploys that is done.
RESULTS = {"deployment": 1, "rollback": 0}
# What is tried: a recovery from a lost cable is a recovery once more.
TRIED = tuple((c, "kill") for c in COMMANDS) + tuple(
    (c, a) for a in ("cut", "reboot") for c in ("deployment", "rollback")
)
