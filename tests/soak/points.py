"""One point: something happens before the Nth change of a command; then everything must come right again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.e2e.stage import ALL_AT_ONCE, DEPLOY, Stage
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
TAGS = ("s1", "s2", "s3")
MIDDLE = 0.7  # where in a deployment the death is that a recovery has to recover from


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

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._counted: dict[str, int] = {}

    def prepare(self) -> None:
        """Three releases without a health window, so that a point costs little. All were there once: a host keeps two
        of them, so that every deployment of the third pulls one image and drops another."""
        self.stage.write_inventory(relman_secrets=SECRETS)
        for tag in TAGS:
            self.stage.release(tag, deploy=AT_ONCE)
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
        return int((self.stage.home / "count").read_text())

    def run(self, point: Point) -> int:
        """Run the command; returns how it ended."""
        lab = self.stage.lab.layout.id
        head = ("tests.soak.boundaries", str(lab), point.action, str(point.number), str(self.stage.home / "count"))
        done = self.stage.run(*head, *COMMANDS[point.command].arguments)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode

    def reset(self) -> None:
        """Hosts as new, whatever the last trial left."""
        at_once(host.reset for host in self.stage.lab.hosts)

    def trial(self, point: Point) -> str:
        """Try one point; returns how long it took. Raises AssertionError with the point in its text."""
        begin = time.monotonic()
        try:
            COMMANDS[point.command].before(self)
            code = self.run(point)
            # With a slow host more is written: one run may make fewer changes than the one in which they were counted.
            assert point.action != "kill" or code == -9 or self._count() < point.number, f"ended with {code}"
            self._check_now(point)
            at_once(host.mend for host in self.stage.lab.hosts)
            self._resolve()
        except AssertionError as error:
            raise AssertionError(f"{point}: {error}") from error
        return f"{time.monotonic() - begin:.1f} s"

    def _check_now(self, point: Point) -> None:
        """Every host serves, except for one inside its gap; one that was rebooted runs one container of the two."""
        reached = [h for h in self.stage.lab.hosts if h.ssh_answers()]
        running = {h.name: len(service_containers(h, every=False)) for h in reached}
        dark = [name for name, count in running.items() if not count]
        assert len(dark) <= 1, f"dark: {dark}"
        if point.action == "reboot":
            assert set(running.values()) == {1}, f"running after the reboot: {running}"

    def _resolve(self) -> None:
        """What a person does next: deploy; where that is refused, all hosts serve by then, and recover resolves it."""
        stage = self.stage
        again = ("deploy", "s3", "-e", "production", "--yes", *ALL_AT_ONCE)
        ended = stage.any(*again)
        if ended.code == 7:
            until(lambda: "-" not in stage.versions(), "every host to serve again", 10)
            stage.relman("recover", "-e", "production")
            ended = stage.any(*again)
        assert ended.code == 0, f"the next deployment ended with {ended.code}: {ended.text}"
        stage.serve("s3")
        if any(len(files_of(host)) > 1 for host in stage.lab.hosts):
            stage.relman("recover", "-e", "production")  # sweeps up what was half written when no lock was held yet
        for host in stage.lab.hosts:
            tidy(host)


@dataclass(frozen=True)
class Command:
    """What is interrupted, and how the hosts are before it."""

    arguments: tuple[str, ...]
    before: Callable[[Soak], None]


def _one_release(soak: Soak) -> None:
    soak.stage.deploy("s1", *ALL_AT_ONCE)


def _two_releases(soak: Soak) -> None:
    _one_release(soak)
    soak.stage.deploy("s2", *ALL_AT_ONCE)


def _interrupted(soak: Soak) -> None:
    """A deployment that died in the gap of a host."""
    number = round(soak.changes("deployment") * MIDDLE)
    _one_release(soak)
    assert soak.run(Point("deployment", "kill", number)) == -9


COMMANDS: Mapping[str, Command] = {
    "deployment": Command(("deploy", "s2", "-e", "production", "--yes"), _one_release),
    "rollback": Command(("rollback", "-e", "production", "--yes"), _two_releases),
    "recovery": Command(("recover", "-e", "production"), _interrupted),
}
# What is tried: a recovery from a lost cable is a recovery once more.
TRIED = tuple((c, "kill") for c in COMMANDS) + tuple(
    (c, a) for a in ("cut", "reboot") for c in ("deployment", "rollback")
)
