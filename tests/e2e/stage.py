"""A stage for whole stories: released images in the lab's registry, and relman as its user runs it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import yaml

from relman.evidence.promote import promote
from relman.model.container import DEPLOY_SECTION, SERVICE_NAME
from relman.model.files import labels_of
from relman.model.image import ConfigDigest, ManifestDigest, Platform, Repository
from relman.model.run import CommandResult, Commit, RunName, TestReport
from relman.registry.auth import Credentials
from relman.registry.client import Registry
from tests.lab import forks
from tests.lab.forks import Fork
from tests.lab.host import LabHost
from tests.lab.images import Behaviour, busybox_image, push
from tests.lab.lab import Lab
from tests.lab.process import patience, until

ROOT = Path(__file__).resolve().parents[2]
PORT = 8080

ALL_AT_ONCE = ("--max-unavailable", "100%")

DEPLOY: Mapping[str, Any] = {
    "ports": ["${port:-8080}:8080"],
    "health": {"http": {"port": PORT, "path": "/health"}, "window": "0.5s", "timeout": f"{5 * patience():.0f}s"},
    "stop_timeout": "2s",
    "max_unavailable": 2,
}


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Everything that it said."""
        return self.out + self.err


@dataclass
class Running:
    """A relman command that has not ended yet; `seen` is what it has said so far."""

    process: subprocess.Popen[str] | Fork
    said: IO[str] | None
    seen: str = ""
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.said
        with self.said as lines:
            for line in lines:
                with self._mutex:
                    self.seen += line

    def says(self, text: str, timeout: float = 30) -> None:
        """Wait until it has said `text`."""
        until(lambda: text in self.seen or self.process.poll() is not None, f"{text!r} in {self.seen!r}", timeout)
        assert text in self.seen, self.seen

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def ended(self, timeout: float = 60) -> Ended:
        """Wait for its end."""
        code = self.process.wait(timeout * patience())
        self._reader.join(timeout)
        return Ended(code, self.seen, "")


class Stage:
    """A lab, an inventory, and a user with a data directory of their own."""

    def __init__(self, lab: Lab, home: Path) -> None:
        self.lab = lab
        self.home = home
        self.network: Path | None = None
        self.repository = Repository(lab.registry.address, "demo")
        self.inventory = home / "inventory.yml"
        self.env = {**os.environ, **lab.env, "RELMAN_DATA_DIR": str(home / "data"), "PYTHONPATH": str(ROOT)}
        self.env["RELMAN_INVENTORY"] = str(self.inventory)
        self.env["COLUMNS"] = "200"
        self.write_inventory()

    def write_inventory(self, groups: Mapping[str, Any] | None = None, **variables: Any) -> None:
        """An inventory of the lab's hosts: groups as Ansible writes them, and variables for all hosts."""
        names = [h.name for h in self.lab.hosts]
        common = {"relman_services": {"demo": str(self.repository)}, "relman_registry_ca": str(self.lab.registry.ca)}
        hosts = {
            h.name: {
                "ansible_host": h.address,
                "ansible_user": "root",
                "ansible_ssh_private_key_file": f"{self.lab.dir}/ssh/id_ed25519",
            }
            for h in self.lab.hosts
        }
        children = groups or {"production": {"hosts": dict.fromkeys(names)}}
        tree = {"all": {"hosts": hosts, "vars": {**common, **variables}, "children": dict(children)}}
        self.inventory.write_text(yaml.safe_dump(tree))

    def argv(self, *arguments: str) -> list[str]:
        """The command line of relman."""
        return [sys.executable, "-m", "relman", *arguments]

    def relman(self, *arguments: str, code: int = 0, env: Mapping[str, str] | None = None) -> Ended:
        """Run relman to its end, which must be `code`."""
        ended = self.any(*arguments, env=env)
        assert ended.code == code, f"exit {ended.code}, not {code}\n{ended.out}\n{ended.err}"
        return ended

    def any(self, *arguments: str, env: Mapping[str, str] | None = None) -> Ended:
        """Run relman to its end, whatever that is."""
        done = self.run("relman", *arguments, env=env)
        assert "Traceback" not in done.stderr, done.stderr
        return Ended(done.returncode, done.stdout, done.stderr)

    def relman_killed(self, method: str, count: int, *arguments: str) -> int:
        """Run relman and kill it before its `count`-th call of an Engine method; returns how it ended."""
        return self.run("tests.e2e.killer", method, str(count), *arguments).returncode

    def run(
        self, module: str, *arguments: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a Python module to its end, in the user's directory and with their variables and `env`."""
        variables = self.env | dict(env or {})
        most = 180 * patience()
        return forks.run(module, *arguments, cwd=self.home, env=variables, timeout=most, network=self.network)

    @contextlib.contextmanager
    def held(self, method: str, host: LabHost, *arguments: str) -> Iterator[Running]:
        """Start relman; the block is run while it is held before its first call of this Engine method on this host
        (tests.e2e.holder)."""
        file = self.home / f"go-{len(list(self.home.glob('go-*')))}"
        running = self._started("tests.e2e.holder", method, host.name, str(file), *arguments)
        running.says("held", 60)
        try:
            yield running
        finally:
            file.touch()

    def start(self, *arguments: str) -> Running:
        """Run relman beside the test."""
        return self._started("relman", *arguments)

    def _started(self, module: str, *arguments: str) -> Running:
        read, write = os.pipe()
        with os.fdopen(write, "w") as out:
            fork = forks.start(module, *arguments, cwd=self.home, env=self.env, out=out, err=out, network=self.network)
        return Running(fork, os.fdopen(read))

    def start_impatient(self, *arguments: str) -> Running:
        """Start relman with answers waited for only briefly (tests.soak.boundaries)."""
        head = ["tests.soak.boundaries", str(self.lab.layout.id), "count", "0", str(self.home / "count")]
        return self._started(*head, *arguments)

    def deploy(self, tag: str, *arguments: str, code: int = 0) -> Ended:
        """Deploy to production."""
        return self.relman("deploy", tag, "-e", "production", "--yes", *arguments, code=code)

    def rollback(self, *arguments: str, code: int = 0) -> Ended:
        """Roll production back."""
        return self.relman("rollback", "-e", "production", "--yes", *arguments, code=code)

    def status(self, environment: str = "production", code: int = 0) -> list[dict[str, Any]]:
        """What `relman status --json` says of every host."""
        said = self.relman("--json", "status", "-e", environment, code=code).out.splitlines()[0]
        hosts: list[dict[str, Any]] = json.loads(said)["hosts"]
        return hosts

    def image(
        self,
        tag: str,
        *,
        deploy: Mapping[str, Any] | None = None,
        files: Mapping[str, bytes] | None = None,
        make: Callable[..., str] = busybox_image,
        **options: Any,
    ) -> tuple[str, str]:
        """Build and push an image under `tag` without releasing it; returns its config and manifest digests."""
        section = json.dumps({**DEPLOY, **(deploy or {})})
        with self.lab.ci.engine() as engine:
            ref = self.repository.tag(tag)
            labels = {DEPLOY_SECTION: section, SERVICE_NAME: "demo", **labels_of(files or {})}
            config = make(engine, ref, version=tag.removeprefix("run-"), labels=labels, **options)
            return config, push(engine, ref, self.lab.registry.auth)

    def release(
        self, tag: str, *, deploy: Mapping[str, Any] | None = None, channels: Sequence[str] = (), **options: Any
    ) -> ManifestDigest:
        """Build, push and release an image with evidence, as a CI run does."""
        config, digest = self.image(f"run-{tag}", deploy=deploy, **options)
        report = TestReport(
            run=RunName("demo", tag),
            service="demo",
            config=ConfigDigest(config),
            platform=Platform("linux", "amd64"),
            commit=Commit("0" * 40),
            commands=(CommandResult(("true",), 0, 0.1),),
            started="2026-01-01T00:00:00Z",
            finished="2026-01-01T00:00:01Z",
        )
        source = ManifestDigest(digest)
        promote(self.registry(), self.repository, source=source, report=report, release_tag=tag, channels=channels)
        return ManifestDigest(digest)

    def registry(self) -> Registry:
        """A client of the lab's registry."""
        auth = self.lab.registry.auth
        credentials = Credentials(auth["username"], auth["password"])
        return Registry(self.lab.registry.address, credentials=credentials, ca=str(self.lab.registry.ca))

    def versions(self, port: int = PORT) -> list[str]:
        """What every host serves, asked from the outside; a host that serves nothing says "-"."""
        return [serves(host, port) for host in self.lab.hosts]

    def serve(self, version: str, port: int = PORT) -> None:
        """Wait until every host serves `version`: a first connection after a start may take a second."""
        wanted = [version] * len(self.lab.hosts)
        until(lambda: self.versions(port) == wanted, f"{version} everywhere, not {self.versions(port)}", 15)


def serves(host: LabHost, port: int = PORT) -> str:
    """The version that a host serves, or "-"."""
    with contextlib.suppress(OSError):
        return host.http(port, "/version").text.strip()
    return "-"


def make_releases(stage: Stage) -> None:
    """Three good releases and the bad ones, once for all tests."""
    for tag in ("1", "2", "3"):
        stage.release(tag)
    stage.release("exits", behaviour=Behaviour.EXITS)
    stage.release(
        "sick", behaviour=Behaviour.SERVES_UNHEALTHY, deploy={"health": {**DEPLOY["health"], "timeout": "5s"}}
    )
    stage.release("dies", behaviour=Behaviour.DIES, deploy={"health": {**DEPLOY["health"], "window": "10s"}})
