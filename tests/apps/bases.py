"""The base images of the sample applications, made once a machine from Debian's packages.

Nothing can be pulled from outside, so a base is a root file system that mmdebstrap puts together from the
mirror that the machine itself uses. `NAME/base.toml` says what is in it; the tar is cached under
`RELMAN_CACHE` (default `~/.cache/relman-lab`) by the hash of everything that made it.
"""

import fcntl
import hashlib
import json
import os
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import docker
from docker.errors import ImageNotFound

from tests.lab import packages
from tests.lab.packages import may_download
from tests.lab.process import locked

APPS = Path(__file__).parent
NAMES = ("python-base", "postgres-base", "redis-base")
RELMAN = "relman-base"
NEEDED = ("mmdebstrap",)
KEY_LABEL = "relman.lab.base"
EXCLUDED = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*")
TARGET = "deb $(REPO_URI) $(RELEASE) $(COMPONENT)"
IN_MEMORY = 'mount -t tmpfs relman-base "$TMPDIR" && exec "$@"'  # in a mount namespace: gone with the process


class BaseError(Exception):
    """A base image could not be made; the message ends with what the failing command said last."""


@dataclass(frozen=True)
class Base:
    """What a base image is made of; `options` go to mmdebstrap, `changes` are Dockerfile instructions."""

    image: str
    packages: list[str]
    exclude: list[str]
    options: list[str]
    changes: list[str]

    @property
    def key(self) -> str:
        """The cache key: another package, option, change or script gives another key."""
        script = Path(__file__).read_text()
        return hashlib.sha256(json.dumps([asdict(self), script]).encode()).hexdigest()[:16]


def load(name: str) -> Base:
    """Return the base that `NAME/base.toml` describes."""
    return Base(**tomllib.loads((APPS / name / "base.toml").read_text()))


def ensure_all(engine_socket: Path) -> None:
    """Import all bases; what has to be made first is made at the same time."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: ensure(name, engine_socket), NAMES))


def ensure(name: str, engine_socket: Path) -> str:
    """Import the base called NAME into the engine unless this very base is there; return the image's name.

    Raises BaseError when it cannot be made or the engine does not take it.
    """
    base = load(name)
    client = docker.DockerClient(base_url=f"unix://{engine_socket}", version="auto", timeout=300)
    try:
        if _key_of(client, base.image) != base.key:
            repository, tag = base.image.split(":")
            changes = [*base.changes, f"LABEL {KEY_LABEL}={base.key}"]
            source = str(rootfs(name))
            said = client.api.import_image(source, repository=repository, tag=tag, changes=changes)
            if _key_of(client, base.image) != base.key:
                raise BaseError(f"{base.image}: the engine at {engine_socket} did not import it: {said}")
    finally:
        client.close()
    return base.image


def rootfs(name: str) -> Path:
    """Return the tar of this base's root file system, made first if it is not in the cache.

    Safe when several processes ask at once: one makes it, the others wait.
    """
    base = load(name)
    cache = Path(os.environ.get("RELMAN_CACHE") or Path.home() / ".cache" / "relman-lab")
    cache.mkdir(parents=True, exist_ok=True)
    tar = cache / f"{name}-{base.key}.tar"
    with _locked(cache / f"{name}.lock"):
        if not tar.exists():
            may_download(f"the base image {base.image}")
            packages.install(*NEEDED)
            unfinished = cache / f"{name}.unfinished.tar"
            _make(base, unfinished)
            unfinished.rename(tar)
    return tar


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _key_of(client: docker.DockerClient, image: str) -> str | None:
    try:
        return client.images.get(image).labels.get(KEY_LABEL)
    except ImageNotFound:
        return None


def _make(base: Base, tar: Path) -> None:
    """Let mmdebstrap write the tar, without apt, documentation or the mirror's address in it.

    It works in memory, which takes half the time.
    """
    with locked(packages.LOCK):
        codename, sources = _debian_sources()
    command = ["mmdebstrap", "--quiet", "--variant=essential", "--format=tar"]
    command += [f"--include={','.join(base.packages)}"]
    command += [f"--dpkgopt=path-exclude={path}" for path in (*EXCLUDED, *base.exclude)]
    command += base.options
    command += ['--customize-hook=rm -rf "$1"/etc/apt/sources.list* "$1"/var/log/* "$1"/var/cache/debconf/*-old']
    command += [codename, str(tar), "-"]
    with tempfile.TemporaryDirectory(prefix="relman-base-") as work:
        _run(["unshare", "--mount", "sh", "-c", IN_MEMORY, "sh", *command], stdin=sources, TMPDIR=work)


def _debian_sources() -> tuple[str, str]:
    """Return the machine's Debian codename and its sources in the one-line form, as apt understands them."""
    query = ["apt-get", "indextargets", "--format", TARGET, "Created-By: Packages", "Origin: Debian"]
    lines = _run(query).splitlines()
    if not lines:  # apt knows the origin of a source only once it has been fetched
        _run(["apt-get", "update", "-qq"])
        lines = _run(query).splitlines()
    if not lines:
        raise BaseError("apt names no Debian source on this machine; the base images are made from one")
    return min((line.split()[2] for line in lines), key=len), "\n".join(lines) + "\n"


def _run(command: list[str], stdin: str = "", **variables: str) -> str:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", **variables}
    if command[0] == "apt-get":
        command = [command[0], "-o", "DPkg::Lock::Timeout=300", *command[1:]]
    done = subprocess.run(command, input=stdin, text=True, capture_output=True, env=env, check=False)
    if done.returncode:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-15:])
        raise BaseError(f"{command[0]} ended with {done.returncode}:\n{said}")
    return done.stdout
