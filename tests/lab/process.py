"""Run commands, start processes that outlive this one, and end them by an identity that cannot be reused."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tests.lab.layout import LabError

T = TypeVar("T")
_MOST = 8.0
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}

# Writes the shell's own process id and start time, then becomes the command.
RECORD = """
record() { read -r stat </proc/self/stat; set -- $stat; echo "$1 ${22}" >"$pidfile.new"; }
pidfile=$1; shift; record; mv "$pidfile.new" "$pidfile"; exec "$@"
"""


def run(*argv: str | Path, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run `argv` in a clean environment and return its output; raise LabError with its words if it fails."""
    done = subprocess.run([str(a) for a in argv], input=stdin, text=True, capture_output=True, env=ENV)
    if check and done.returncode:
        command = " ".join(map(str, argv))
        raise LabError(f"{command}: exit {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done


def detach(argv: Sequence[str | Path], log: Path) -> None:
    """Start `argv` in a session of its own, as a child of the machine's first process, writing to `log`."""
    with log.open("ab") as out:
        subprocess.run(
            ["setsid", "--fork", *map(str, argv)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=ENV,
            check=True,
        )


def spawn(argv: Sequence[str | Path], *, pidfile: Path, log: Path) -> int:
    """Detach `argv`, note its identity in `pidfile`, and return its process id."""
    pidfile.unlink(missing_ok=True)
    detach(["sh", "-c", RECORD, "sh", pidfile, *argv], log)
    return until(lambda: living(pidfile), f"{argv[0]} to start; see {log}", 10)


def started(pid: int) -> int | None:
    """Return when a process started, in clock ticks since the machine did; None when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def living(pidfile: Path) -> int | None:
    """Return the id of the process that `pidfile` names, None when that very process is gone."""
    try:
        pid, start = map(int, pidfile.read_text().split())
    except (FileNotFoundError, ValueError):
        return None
    return pid if started(pid) == start else None


def end(pid: int, number: signal.Signals = signal.SIGKILL, timeout: float = 20) -> None:
    """Send one process a signal and wait until it is gone; one that is gone already is fine."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(fd, number)
        if not select.select([fd], [], [], timeout * patience())[0]:
            raise LabError(f"process {pid} is still there {timeout} s after {number.name}")
    except ProcessLookupError:
        return
    finally:
        os.close(fd)


def end_file(pidfile: Path) -> None:
    """Kill the process that `pidfile` names and forget it."""
    pid = living(pidfile)
    if pid is not None:
        end(pid)
    pidfile.unlink(missing_ok=True)


def patience() -> float:
    """How much longer to wait than on a machine that does nothing else: RELMAN_TEST_PATIENCE, or else as many times as
    there are more processes that want to run than cores."""
    said = os.environ.get("RELMAN_TEST_PATIENCE")
    return float(said) if said else min(_MOST, max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)))


def until(check: Callable[[], T | None], what: str, timeout: float = 30) -> T:
    """Return the first true answer of `check`, asked every 20 ms; raise LabError after `timeout` seconds, or longer
    where `patience` says so."""
    begin = time.monotonic()
    while not (answer := check()):
        waited = time.monotonic() - begin
        if waited > timeout * patience():
            raise LabError(f"waited {waited:.0f} s in vain for {what}")
        time.sleep(0.02)
    return answer


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold lock file `path`, which exists only while held; raise LabError if taken and not `wait`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = _take(path, wait)
    try:
        yield
    finally:
        path.unlink()
        os.close(fd)


def _take(path: Path, wait: bool) -> int:
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if path.exists() and path.stat().st_ino == os.fstat(fd).st_ino:
                return fd
        except BlockingIOError as e:
            os.close(fd)
            raise LabError(f"{path} is held by another process") from e
        os.close(fd)
