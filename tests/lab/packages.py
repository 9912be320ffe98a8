"""The Debian packages that a lab is made of."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.layout import LabError
from tests.lab.process import ENV, locked, run

LOCK = Path("/run/lock/relman-lab-packages")
"""Held by whoever runs apt: it does not wait for another's list of packages."""

NEEDED = (
    "busybox-static",
    "curl",
    "docker.io",
    "docker-registry",
    "e2fsprogs",
    "git",
    "haproxy",
    "iproute2",
    "iptables",
    "mount",
    "openssh-client",
    "openssh-server",
    "pebble",
    "procps",
    "sudo",
    "tinyproxy",
    "util-linux",
    "wget",
)


def may_download(what: str) -> None:
    """Raise LabError while RELMAN_LAB_OFFLINE is set: tests that run side by side download nothing."""
    if os.environ.get("RELMAN_LAB_OFFLINE"):
        raise LabError(f"{what} is not on this machine: tests/lab/prepare.py gets it before the tests, or has to")


def missing(*names: str) -> list[str]:
    """Return the packages that are not installed."""
    shown = run("dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *names, check=False).stdout
    installed = {line.split()[0] for line in shown.splitlines() if line.endswith(" installed")}
    return [name for name in names if name not in installed]


def install(*more: str) -> None:
    """Install what a lab needs, and `more`, without starting any service; raise LabError if apt cannot."""
    with locked(LOCK):
        if not (names := missing(*NEEDED, *more)):
            return
        may_download(" ".join(names))
        print("lab: installing " + " ".join(names), flush=True)
        with no_services():
            _apt("update", "-qq")
            _apt("install", "-y", "-qq", "--no-install-recommends", *names)


@contextmanager
def no_services(policy: Path = Path("/usr/sbin/policy-rc.d")) -> Iterator[None]:
    """Keep packages from starting their services, as /usr/share/doc/init-system-helpers specifies."""
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def _apt(*arguments: str) -> None:
    proxies = {k: v for k, v in os.environ.items() if k.lower().endswith("_proxy")}
    env = ENV | proxies | {"DEBIAN_FRONTEND": "noninteractive"}
    argv = ["apt-get", "-o", "DPkg::Lock::Timeout=300", *arguments]
    done = subprocess.run(argv, env=env, capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.strip()[-2000:]}")
