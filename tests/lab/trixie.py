"""Programs of newer Debian releases beside the machine's own: downloaded by apt's rules, unpacked, never installed.

They are independent readers of what relman writes, and newer engines to deploy to. The mirror is the one that the
machine itself uses; its address is only in a temporary directory while apt runs.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path

from tests.lab.layout import LabError
from tests.lab.packages import LOCK, may_download
from tests.lab.process import locked, run

SUITE, SID = "trixie", "sid"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_TARGET = "$(REPO_URI) $(CODENAME)"


def fetch(*packages: str, suite: str = SUITE) -> Path:
    """A directory that holds what these packages hold (`usr/bin/cosign`, …), without their dependencies.

    Fetched once, and kept under RELMAN_CACHE (default ~/.cache/relman-lab). Raises LabError if apt cannot.
    """
    names = sorted(set(packages))
    cache = Path(os.environ.get("RELMAN_CACHE") or Path.home() / ".cache" / "relman-lab")
    cache.mkdir(parents=True, exist_ok=True)
    target = cache / f"{suite}-{hashlib.sha256(' '.join(names).encode()).hexdigest()[:16]}"
    with locked(Path(f"{target}.lock")):
        if not target.is_dir():
            may_download(f"{' '.join(names)} of Debian {suite}")
            print(f"lab: fetching {' '.join(names)} of Debian {suite}", flush=True)
            unfinished = Path(f"{target}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            _download(names, suite, unfinished)
            unfinished.rename(target)
    return target


def program(package: str, name: str | None = None, *, suite: str = SUITE) -> Path:
    """The program `name` (by default called as its package) of a package."""
    return fetch(package, suite=suite) / "usr" / "bin" / (name or package)


def major(package: str, *, suite: str = SUITE) -> int:
    """The first number of a package's version, by its changelog (Debian policy 12.7)."""
    file = fetch(package, suite=suite) / "usr/share/doc" / package / "changelog.Debian.gz"
    first = gzip.decompress(file.read_bytes()).decode().partition("\n")[0]
    found = re.match(rf"{re.escape(package)} \((?:\d+:)?(\d+)", first)
    if not found:
        raise LabError(f"the changelog of {package} begins with {first!r}")
    return int(found[1])


def _download(names: list[str], suite: str, target: Path) -> None:
    with locked(LOCK), tempfile.TemporaryDirectory(prefix="relman-debian-") as work:
        options = _apart(Path(work), suite)
        run("apt-get", *options, "update", "-qq")
        # apt runs as a user of its own who may not write here, and only warns of that.
        done = run("sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", work, "apt-get", *options, "download", *names)
        archives = sorted(Path(work).glob("*.deb"))
        if len(archives) != len(names):
            raise LabError(f"apt gave {len(archives)} packages for {' '.join(names)}: {done.stderr.strip()[-500:]}")
        for archive in archives:
            run("dpkg", "-x", archive, target)


def _apart(work: Path, suite: str) -> list[str]:
    """A configuration of apt that knows only the one suite, and leaves the machine's own alone."""
    (work / "sources.list").write_text(f"deb [signed-by={KEYRING}] {_mirror()} {suite} main\n")
    for directory in ("lists/partial", "archives/partial", "parts"):
        (work / directory).mkdir(parents=True)
    (work / "status").touch()
    settings = {
        "Dir::Etc::SourceList": work / "sources.list",
        "Dir::Etc::SourceParts": work / "parts",
        "Dir::Etc::PreferencesParts": work / "parts",
        "Dir::State::Lists": work / "lists",
        "Dir::State::Status": work / "status",
        "Dir::Cache": work,
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    return [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]


def _mirror() -> str:
    """The address from which the machine gets its own Debian release."""
    query = ("apt-get", "indextargets", "--format", _TARGET, "Created-By: Packages", "Origin: Debian")
    lines = run(*query).stdout.splitlines()
    if not lines:  # apt knows the origin of a source only once it has been fetched
        run("apt-get", "update", "-qq")
        lines = run(*query).stdout.splitlines()
    if not lines:
        raise LabError("apt names no Debian source on this machine")
    # The release's own archive has the shortest codename: bookworm, not bookworm-security.
    return min(lines, key=lambda line: len(line.split()[1])).split()[0]
