"""Two replicas on each of three hosts are deployed and rolled back under load: python -m tests.soak.traffic [COUNT].

It prints how many requests there were, how many failed, and how long they took; and beside it the same while as many
containers are pulled, created, started, checked and removed, and no request goes to them. RELMAN_LAB_ID (default 112)
is the lab's number.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.e2e.proxied import NAME, certificate, haproxy, inventory, release_echo
from tests.e2e.stage import ALL_AT_ONCE, Stage
from tests.lab.counted import Counted, Target
from tests.lab.fixtures import as_new
from tests.lab.lab import Lab
from tests.lab.layout import Layout
from tests.lab.load import Users, load
from tests.lab.load_websocket import talk

COUNT, UPGRADES, CONTROL = 50, 3, 4
HOSTS = 3
HEALTH = {"http": {"port": 8080, "path": "/version"}, "window": "0.5s", "timeout": "60s"}
WEB = {"replicas": 2, "health": HEALTH}
PROXY = {"port": 8080, "response_timeout": "4s"}
USERS = Users(new=1, kept=1, uploads=1, slow=1, http2=1, pause=0.3)
KINDS = {"new", "kept", "upload", "slow", "http2", "http2 upload", "http2 slow"}


@dataclass(frozen=True)
class Seen:
    """What users saw of deployments and rollbacks, and those of WebSockets."""

    users: Counted
    sockets: Counted

    @property
    def faults(self) -> list[str]:
        """What is not as it should be: a request that failed, and what nobody asked for or answered. WebSockets are
        counted apart, and shown: they are closed with each release."""
        found = list(self.users.failures)
        found += [f"no request of the kind {kind}" for kind in sorted(KINDS - set(self.users.kinds))]
        answered = [set(each.answers) for each in (self.users, self.sockets)]
        if answered != [{"web-1", "web-2"}] * 2:
            found.append(f"other releases answered: {answered}")
        return found

    def __str__(self) -> str:
        said, closed = self.sockets.answers.total(), self.sockets.kinds["closed"]
        return f"{self.users}; WebSockets: {said:,} words, {closed} closed, not made at once: {self.sockets.failures}"


class Traffic:
    """Three hosts with a proxy, and users of each."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._images = 0
        ca = certificate(stage, "pki", NAME)
        self._targets = [Target(host.address, 443, NAME, "/", ca) for host in stage.lab.hosts]

    def prepare(self) -> None:
        """Make the proxies, and deploy the first release behind them."""
        self.upgrade()
        self._release("web", {**WEB, "proxy": PROXY})
        self._relman("deploy", "web-1", "-e", "production")

    def upgrade(self) -> None:
        """Let a proxy of another image take over, or make the first one."""
        self._images += 1
        hosts = {"hosts": {host.name: None for host in self.stage.lab.hosts}}
        inventory(
            self.stage,
            haproxy(self.stage, self._images),
            proxy={"certificates": ["pem"], "keep_alive": "5s"},
            variables={
                "groups": {"production": hosts, "control": hosts},
                "relman_secrets": {"pem": {"file": str(self.stage.home / "pki/pem")}},
            },
            demo={"hosts": [NAME]},
        )
        self.stage.relman("proxy", "apply", "-e", "production")

    def control(self, count: int) -> Counted:
        """So many deployments and rollbacks of what no request goes to, under the same load."""
        self._release("aside", WEB)
        self._relman("deploy", "aside-1", "-e", "control")
        with load(*self._targets, users=USERS) as users:
            self._turns("aside", "control", count, users)
        self.stage.relman("remove", "-e", "control", "--yes")
        return users

    def trial(self, count: int, upgrades: int) -> Seen:
        """So many deployments and rollbacks, in turn, under load, with upgrades of the proxy in between."""
        due = {count * (n + 1) // (upgrades + 1) for n in range(upgrades)}
        talking = talk(*(replace(each, path="/talk") for each in self._targets))
        with talking as sockets, load(*self._targets, users=USERS) as users:
            self._turns("web", "production", count, users, due)
        return Seen(users, sockets)

    def _release(self, name: str, web: dict[str, Any]) -> None:
        deploy = {"ports": [], "health": HEALTH, "processes": {"web": web}}
        release_echo(self.stage, f"{name}-1", f"{name}-2", deploy=deploy)

    def _relman(self, *arguments: str) -> None:
        self.stage.relman(*arguments, "--yes", *ALL_AT_ONCE)

    def _turns(self, name: str, where: str, count: int, users: Counted, due: Collection[int] = ()) -> None:
        for number in range(count):
            if number in due:
                self.upgrade()
            self._relman(*(("rollback",) if number % 2 else ("deploy", f"{name}-2")), "-e", where)
            print(
                f"{time.strftime('%H:%M:%S')} {name} {number + 1} of {count}: {users} {users.failures[:3] or ''}",
                flush=True,
            )


def main() -> int:
    """Try it; the exit code is 1 if something failed."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    layout = Layout.numbered(int(os.environ.get("RELMAN_LAB_ID", "112")), os.environ)
    with as_new(Lab(layout), HOSTS) as lab, tempfile.TemporaryDirectory() as home:
        traffic = Traffic(Stage(lab, Path(home)))
        traffic.prepare()
        control = traffic.control(CONTROL)
        seen = traffic.trial(count, UPGRADES)
    print(f"control:  {control}")
    print(f"switched: {seen}; {count} deployments and rollbacks, {UPGRADES} upgrades of the proxy")
    for line in seen.faults:
        print(f"FAILED {line}")
    return 1 if seen.faults else 0


if __name__ == "__main__":
    sys.exit(main())
