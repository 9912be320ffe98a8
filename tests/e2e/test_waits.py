"""Hosts that hang, mean ill or go away while they are asked: every command says so, and ends."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.e2e.stage import DEPLOY, Stage
from tests.lab.process import until

P = ("-e", "production")
_COUNT = (
    "i=0; while :; do i=$((i+1)); echo %s-$i; /bin/busybox usleep 20000; done & "
    "exec /bin/busybox httpd -f -p 8080 -h /www"
)


@contextlib.contextmanager
def _engine(path: Path, said: Iterable[bytes]) -> Iterator[None]:
    """Something that listens on a socket and says this to everybody, b"" for a while nothing."""
    parts = list(itertools.islice(said, 64))
    with socket.socket(socket.AF_UNIX) as listening:
        path.unlink(missing_ok=True)
        listening.bind(str(path))
        listening.listen(16)

        def serve(client: socket.socket) -> None:
            with client, contextlib.suppress(OSError):
                client.recv(65536)
                for part in itertools.chain(parts, itertools.cycle(parts[1:])):
                    client.sendall(part) if part else time.sleep(0.5)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield
        listening.shutdown(socket.SHUT_RDWR)


# What a process had most counts from its parent's size on: so it is asked by a small one.
MEASURE = """
import json, os, subprocess, sys, time
began = time.monotonic()
process = subprocess.Popen(sys.argv[2:])
used = os.wait4(process.pid, 0)[2]
json.dump([time.monotonic() - began, used.ru_maxrss >> 10], open(sys.argv[1], "w"))
"""


def _measured(stage: Stage, *arguments: str) -> tuple[str, float, int]:
    """What a command said, the seconds that it took, and the most memory that it had (MiB)."""
    figures = stage.home / "figures.json"
    shown = subprocess.run(
        [sys.executable, "-c", MEASURE, str(figures), *stage.argv(*arguments)],
        env=stage.env,
        cwd=stage.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    ).stdout
    seconds, memory = json.loads(figures.read_text())
    return shown, seconds, memory


ENDLESS = [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[", *[b'{"Id":"0123456789ab"},' * 3000] * 8]
DRIPPING = [b"HTTP/1.1 200 OK\r\n", b"", b"X-A: b\r\n"]
CONTINUED = [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"]


@pytest.mark.parametrize(("said", "text"), [(ENDLESS, "larger than"), (DRIPPING, "within"), (CONTINUED, "larger than")])
def test_an_engine_that_never_ends(serving: Stage, said: list[bytes], text: str) -> None:
    """Status says which host's engine means ill, shows the others' rows, ends in time, and takes no memory for it."""
    place = "/run/hostile.sock"
    serving.write_inventory({"production": {"hosts": {"h1": None, "h2": {"relman_docker_socket": place}, "h3": None}}})
    with _engine(serving.lab.hosts[1].path(place), said):
        shown, seconds, memory = _measured(serving, "status", *P)
    assert re.search(rf"\bh2\b.*{text}", shown), shown
    assert all(re.search(rf"^{host} .*\b1\b.*healthy", shown, re.M) for host in ("h1", "h3")), shown
    assert "internal error" not in shown
    assert memory < 300, memory
    assert seconds < (30 if text == "larger than" else 45), seconds


@pytest.mark.parametrize("process", ["dockerd", "sshd"])
def test_a_host_that_is_frozen(serving: Stage, process: str) -> None:
    """A frozen engine and a frozen sshd are said within half a minute or so, in words, with the others' rows."""
    h2 = serving.lab.hosts[1]
    h2.run(["pkill", "-STOP", process])
    try:
        shown, seconds, _ = _measured(serving, "status", *P)
    finally:
        h2.run(["pkill", "-CONT", process])
    assert re.search(r"\bh2\b.*did not answer within", shown), shown
    assert all(re.search(rf"^{host} .*healthy", shown, re.M) for host in ("h1", "h3")), shown
    assert "PipeTimeout" not in shown
    assert seconds < 45, seconds


def test_a_frozen_container_while_it_is_probed(serving: Stage) -> None:
    """A service that hangs is not healthy within its time, and what ran before is put back."""
    hangs = ["/bin/busybox", "nc", "-ll", "-p", "8080", "-e", "/bin/busybox", "sleep", "1000"]
    serving.release("hangs", deploy={"command": hangs, "health": {**DEPLOY["health"], "timeout": "8s"}})
    ended = serving.deploy("hangs", code=5)
    assert "was not healthy within 8 s" in ended.text, ended.text
    serving.serve("1")


def test_a_key_with_a_passphrase(serving: Stage) -> None:
    """It is told from a key that is refused, with what to type."""
    key = serving.home / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(key)], check=True)
    text = serving.inventory.read_text().replace(f"{serving.lab.dir}/ssh/id_ed25519", str(key))
    serving.inventory.write_text(text)
    (serving.home / "ssh_config").write_text("")  # the lab's own names a key that works
    serving.env["RELMAN_SSH_CONFIG"] = str(serving.home / "ssh_config")
    said = serving.any("rollback", *P, "--yes").text
    assert "needs a passphrase" in said, said
    assert f"ssh-add {key}" in said, said


def _counted(seen: str, host: str, release: str) -> list[int]:
    return [int(n) for n in re.findall(rf"^{host}  \S+  {release}-(\d+)$", seen, re.M)]


def test_logs_are_followed_over_a_deployment_and_to_a_hosts_end(stage: Stage) -> None:
    """No line is lost or shown twice: not between the first lines and the following ones, nor when another container
    takes over. A host that dies is said at once, and the others are followed on."""
    for release in ("a", "b"):
        stage.release(f"counts-{release}", deploy={"command": ["sh", "-c", _COUNT % release]})
    stage.deploy("counts-a")
    running = stage.start("logs", "-f", "-n", "5", *P)
    until(lambda: len(_counted(running.seen, "h1", "a")) > 50, "h1's lines are followed")
    stage.deploy("counts-b")
    until(lambda: len(_counted(running.seen, "h1", "b")) > 50, "the next release is followed")
    stage.lab.hosts[0].kill()
    running.says("h1: the SSH connection broke; no more lines follow", 30)
    before = len(_counted(running.seen, "h3", "b"))
    until(lambda: len(_counted(running.seen, "h3", "b")) > before + 50, "h3 is followed on")
    running.send(signal.SIGINT)
    ended = running.ended()
    assert ended.code == 130, ended.out
    for host, release in itertools.product(("h1", "h3"), "ab"):
        numbers = _counted(ended.out, host, release)
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), (host, release, numbers)
        assert release == "a" or numbers[0] == 1, (host, numbers[:5])
