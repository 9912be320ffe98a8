"""The lab as a whole: N hosts, a CI machine and a registry, brought up and taken down."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from tests.lab import files, network, packages, pki
from tests.lab.ci import CI
from tests.lab.host import LabHost
from tests.lab.index import PackageIndex
from tests.lab.layout import MAX_HOSTS, LabError, Layout
from tests.lab.machine import Machine
from tests.lab.process import locked, run, until
from tests.lab.registry import Registry

CGROUPS = Path("/sys/fs/cgroup")


class Lab:
    """One lab; making the object touches nothing."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.dir = layout.dir
        self.registry = Registry(layout)
        self.index = PackageIndex(layout, self.registry)
        self.ci = CI(layout, self.registry)

    @property
    def hosts(self) -> list[LabHost]:
        """The hosts that it has now, h1 first."""
        found = self.layout.machine("h1").parent.glob("h*")
        return [LabHost(self.layout, i) for i in sorted(int(path.name[1:]) for path in found)]

    @property
    def env(self) -> dict[str, str]:
        """The variables with which relman and docker find the lab; env.sh exports the same."""
        return files.environment(self.layout, self.registry)

    def _lock(self) -> AbstractContextManager[None]:
        if os.geteuid() != 0:
            raise LabError("the lab makes namespaces and mounts: run it as root")
        return locked(Path(f"{self.dir}.lock"))

    def up(self, count: int) -> None:
        """Make it exactly `count` hosts, all running: start, repair, add or remove what that takes."""
        if count not in range(1, MAX_HOSTS + 1):
            raise LabError(f"{count} hosts asked for: a lab has 1 to {MAX_HOSTS}")
        with self._lock():
            packages.install()
            network.check_owner(self.layout)
            self.dir.mkdir(mode=0o755, parents=True, exist_ok=True)
            network.make_bridge(self.layout)
            self.registry.provision()
            self.index.provision()
            user_key = pki.make_ssh_key(self.dir / "ssh/id_ed25519", "relman-lab")
            at_once(h.remove for h in self.hosts[count:])
            hosts = [LabHost(self.layout, i) for i in range(1, count + 1)]
            for machine in (self.ci.machine, *hosts):
                machine.provision(user_key, self.registry)
            files.write_all(self.layout, hosts, self.registry)
            _link(self.dir / "ci", self.ci.machine.dir / "disk/socket")
            at_once([self.registry.start, self.index.start, *(m.repair for m in (self.ci.machine, *hosts))])

    def down(self) -> None:
        """Leave nothing of the lab behind, whatever state it is in."""
        with self._lock():
            network.check_owner(self.layout)
            self.registry.stop()
            self.index.stop()
            names = {p.name for p in self.ci.machine.dir.parent.glob("*")} | set(network.attached(self.layout))
            at_once(Machine(self.layout, name, 0).remove for name in names)
            network.remove_bridge(self.layout)
            _remove_cgroups(self.layout.cgroup)
            if self.dir.exists():
                shutil.rmtree(self.dir)


def at_once(tasks: Iterable[Callable[[], None]]) -> None:
    """Do every task at the same time; raise the first error once all have ended."""
    with ThreadPoolExecutor(max_workers=24) as pool:
        done = [pool.submit(task) for task in tasks]
    for future in done:
        future.result()


def _link(path: Path, target: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _remove_cgroups(name: str) -> None:
    """Remove the empty cgroups that engines killed in mid-flight left, in every hierarchy."""
    for top in [CGROUPS / name, *CGROUPS.glob(f"*/{name}")]:
        for path, _, _ in os.walk(top, topdown=False):
            until(partial(_rmdir, Path(path)), f"{path} to be empty", 10)


def _rmdir(path: Path) -> bool:
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def summary(lab: Lab) -> list[str]:
    """Return one line for each part of the lab: its name, where it is, whether it is there."""
    if not (run("ip", "link", "show", lab.layout.bridge, check=False).returncode == 0 and lab.dir.exists()):
        return [f"lab {lab.layout.id} is down"]
    lines = [f"{'registry':9} {lab.registry.address:20} {'up' if lab.registry.running else 'DOWN'}"]
    lines.append(f"{'index':9} {lab.index.address:20} {'up' if lab.index.running else 'DOWN'}")
    for machine in (lab.ci.machine, *lab.hosts):
        missing = [
            what for what, there in (("sshd", machine.ssh_answers()), ("engine", machine.engine_answers())) if not there
        ]
        lines.append(f"{machine.name:9} {machine.address:20} {'no ' + ', no '.join(missing) if missing else 'up'}")
    return [*lines, f"variables {lab.dir}/env.sh"]
