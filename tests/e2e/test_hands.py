"""What an engineer does by hand on hosts that serve: read their logs, run a command, restart."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from itertools import pairwise

from relman.model.container import EXEC
from tests.e2e.stage import ALL_AT_ONCE, Stage
from tests.lab.process import until

P = ("-e", "production")
_COUNTS = (
    "i=0; while :; do i=$((i+1)); echo line-$i; /bin/busybox usleep 100000; done & "
    "exec /bin/busybox httpd -f -p 8080 -h /www"
)
# Only the first container that gets the volume starts; it may be started again.
_ONCE = (
    "n=$(cat /etc/hostname); test -e /d/n || echo $n >/d/n; test $(cat /d/n) = $n || exit 3; "
    "exec /bin/busybox httpd -f -p 8080 -h /www"
)


def _lines(said: str) -> list[tuple[str, str, int]]:
    """Host, time and number of each line."""
    found = re.findall(r"^(h\d)  (\S+)  line-(\d+)$", said, re.MULTILINE)
    return [(host, at, int(number)) for host, at, number in found]


def test_logs_are_chosen_by_time_and_text(stage: Stage) -> None:
    """--since, --until and --grep choose lines on every host, -n the last of those, also in what is followed; what is
    no time or no pattern is refused."""
    stage.release("hands-counts", deploy={"command": ["sh", "-c", _COUNTS]})
    stage.deploy("hands-counts")
    hosts = {host.name for host in stage.lab.hosts}
    counted = ("logs", *P, "--grep", "line-25$")
    until(lambda: {host for host, _, _ in _lines(stage.relman(*counted).out)} == hosts, "all hosts count")
    whole = _lines(stage.relman("logs", *P, "--since", "1h").out)
    first, last = whole[4], whole[-4]
    part = _lines(stage.relman("logs", *P, "--since", f"{first[1]}Z", "--until", f"{last[1]}Z").out)
    assert part[0] == first, part
    assert set(part) <= {line for line in whole if first[1] <= line[1] <= last[1]}
    assert set(part) >= {line for line in whole if first[1] < line[1] < last[1]}
    tail = _lines(stage.relman("logs", *P, "--grep", "line-1.$", "-n", "2").out)
    assert sorted((host, number) for host, _, number in tail) == [(host, n) for host in sorted(hosts) for n in (18, 19)]
    assert "no line of its log is selected" in stage.relman("logs", *P, "--until", "1h").out
    running = stage.start("logs", "-f", "--grep", "5$", "--since", "1s", *P)
    until(lambda: len(_lines(running.seen)) > 6, "chosen lines are followed")
    running.send(signal.SIGINT)
    followed = _lines(running.ended().out)
    assert {number % 10 for _, _, number in followed} == {5}
    assert len(set(followed)) == len(followed)
    assert min(number for _, _, number in followed) > first[2]
    stage.write_inventory(relman_services={"demo": str(stage.repository), "other": str(stage.repository)})
    several = stage.relman("logs", *P, "--service", "all", "-n", "2").out
    assert sorted({line.split("  ")[0] for line in several.splitlines()}) == [f"{h.name} demo" for h in stage.lab.hosts]
    assert "give --service" in stage.relman("logs", *P, code=2).err
    assert stage.relman("history", *P, "--service", "all").out == stage.relman("history", *P).out
    assert "other" in stage.any("status", *P, "--service", "all").out
    stage.write_inventory()
    for wrong in (("--since", "5"), ("--grep", "("), ("--until", "1m", "-f"), ("--since", "1m", "--until", "2m")):
        stage.relman("logs", *P, *wrong, code=2)


def _exec(stage: Stage, *words: str, stdin: bytes = b"") -> tuple[int, bytes, str]:
    done = subprocess.run(
        stage.argv("exec", *P, *words), cwd=stage.home, env=stage.env, input=stdin, capture_output=True, timeout=90
    )
    return done.returncode, done.stdout, done.stderr.decode()


def _typed(stage: Stage, *words: str, dialog: Sequence[tuple[bytes, bytes]]) -> tuple[int, str]:
    """Exit code and output at a terminal of 40 lines and 100 columns, where the keys of `dialog` are typed after
    their texts are shown."""
    child, terminal = pty.fork()
    if not child:
        os.chdir(stage.home)
        os.execve(sys.executable, stage.argv("exec", *P, *words), stage.env)  # noqa: S606 - no shell is wanted
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    shown, done, left = b"", 0, list(dialog)
    with contextlib.suppress(OSError):  # the terminal's end
        while select.select([terminal], [], [], 30)[0] and (data := os.read(terminal, 4096)):
            shown += data
            if left and left[0][0] in shown[done:]:
                done = len(shown)
                os.write(terminal, left.pop(0)[1])
    os.close(terminal)  # ends what still runs
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode()


def test_a_command_is_run_where_the_service_runs(stage: Stage) -> None:
    """Input, output and errors go through byte by byte, and the exit code is the command's; relman's own failures are
    125. The journal of that host alone has the program and no argument, and what ran where is as before."""
    assert _exec(stage, "--", "true")[0] == 125
    stage.release("hands-plain")
    stage.deploy("hands-plain")
    code, out, err = _exec(stage, "--", "sh", "-c", "cat; echo s3cr3t-word >&2; exit 7", stdin=bytes(range(256)) * 4000)
    assert (code, out, err) == (7, bytes(range(256)) * 4000, "s3cr3t-word\n")
    assert _exec(stage, "--only", "h2", "--", "/bin/busybox", "cat", "/www/version")[:2] == (0, b"hands-plain\n")
    assert _exec(stage, "--", "no-such-program")[0] in (125, 126, 127)
    for wrong in (("--only", "h9", "--", "true"), ("--process", "web", "--", "true"), (), ("--nonsense", "--", "true")):
        code, _, err = _exec(stage, *wrong)
        assert (code, "error: " in err) == (125, True), err
    entries = json.loads(stage.relman("history", *P, "--json").out)["entries"]
    ran = [e for e in entries if e["what"] == "ran a command in"]
    assert [(e["release"], [h["host"] for h in e["hosts"]]) for e in ran][1:] == [
        ("hands-plain", ["h2"]),
        ("hands-plain", ["h1"]),
    ]
    assert ran[-1]["outcome"] == "exit code 7"
    assert "sh in demo-production" in ran[-1]["hosts"][0]["detail"]
    assert "s3cr3t" not in json.dumps(entries)
    then = stage.relman("history", *P, "--at", "2100-01-01", "--json").out
    assert {host["release"] for host in json.loads(then.splitlines()[0])["hosts"]} == {"hands-plain"}


def test_a_shell_has_the_terminal(stage: Stage) -> None:
    """At a terminal the command has one too, of the same size, and Ctrl-C is for the command; the exit code is the
    shell's."""
    stage.release("hands-shell")
    stage.deploy("hands-shell")
    dialog = [
        (b"# ", b"stty size\r"),
        (b"# ", b"echo be''gin; sleep 99\r"),
        (b"begin\r\n", b"\x03"),
        (b"# ", b"exit 5\r"),
    ]
    code, shown = _typed(stage, "--", "sh", dialog=dialog)
    assert code == 5, shown
    assert shown.startswith("h1: demo-production")
    assert "\n40 100\r" in shown, shown


def test_what_changes_is_watched(stage: Stage) -> None:
    """What runs is shown again when it changes, a host that was gone and is back too, with what is wrong and what to
    type; nothing is shown twice, and Ctrl-C ends it."""
    stage.release("hands-watched")
    stage.deploy("hands-watched")
    h1 = stage.lab.hosts[0]
    watching = stage.start("--json", "status", "--watch", *P)

    def shown() -> list[tuple[bool, bool]]:
        documents = [json.loads(line)["hosts"] for line in watching.seen.splitlines() if line.startswith("{")]
        return [(rows[0]["serving"], rows[0]["unreachable"]) for rows in documents]

    until(lambda: shown() == [(True, False)], "it is shown")
    h1.kill()
    until(lambda: shown()[-1] == (False, True), "it is gone")
    h1.start()
    until(lambda: shown()[-1] == (True, False), "it is back")
    (container,) = stage.status()[0]["containers"]
    with h1.engine() as engine:
        engine.stop(container)
    until(lambda: shown()[-1] == (False, False), f"it serves nothing: {stage.any('status', *P).text}")
    assert "docker start" in watching.seen
    watching.send(signal.SIGINT)
    ended = watching.ended()
    assert ended.code == 130
    documents = [line for line in ended.out.splitlines() if line.startswith('{"version": 1, "kind": "status"')]
    assert all(one != other for one, other in pairwise(documents))


def _made(stage: Stage) -> list[str]:
    return [f"{host['host']} {name}" for host in stage.status() for name in host["containers"]]


def test_what_serves_is_restarted(stage: Stage) -> None:
    """Every host gets another container of the same release with the same secrets, whatever was done before; a rollback
    still returns to the release before, history says who restarted, and what does not become healthy leaves the old one
    serving."""
    assert "nothing was deployed on" in stage.relman("restart", *P, "--yes", code=4).err
    password = stage.home / "password"
    password.write_text("of the host")
    stage.write_inventory(relman_secrets={"password": {"file": "password"}})
    for tag in ("hands-1", "hands-2"):
        stage.release(tag, deploy={"secrets": {"password": None}})
        stage.deploy(tag)
    password.unlink()
    seen = [_made(stage)]
    for _ in range(2):
        said = stage.relman("restart", *P, "--yes").out
        seen.append(_made(stage))
    assert "done: demo hands-2 serves on" in said
    names = [name for made in seen for name in made]
    assert len(set(names)) == len(names), "each is another"
    stage.serve("hands-2")
    assert _exec(stage, "--", "/bin/busybox", "cat", "/run/secrets/password")[:2] == (0, b"of the host")
    assert {row["rollback"] for row in stage.status()} == {"hands-1"}
    entries = json.loads(stage.relman("history", *P, "-n", "3", "--json").out)["entries"]
    assert [e["what"] for e in entries] == ["ran a command in", "restarted", "restarted"]
    stage.rollback()
    stage.serve("hands-1")
    stage.release("hands-once", deploy={"command": ["sh", "-c", _ONCE], "volumes": ["once-data:/d"]})
    stage.deploy("hands-once", *ALL_AT_ONCE)
    before = _made(stage)
    stage.relman("restart", *P, "--yes", code=5)
    assert _made(stage) == before
    assert stage.versions() == ["hands-once"] * len(before)


def _visitors(stage: Stage) -> list[str]:
    """The containers that commands were given, on all hosts."""
    found = []
    for host in stage.lab.hosts:
        with host.engine() as engine:
            found += [c["State"] for c in engine.containers(all=True, filters={"label": EXEC})]
    return found


def test_a_command_is_run_in_a_new_container(stage: Stage) -> None:
    """It has the service's settings and secrets beside what serves, a terminal where there is one, and is gone
    afterwards: also when relman is cancelled, and when it is killed, as soon as the command reads the end of its input.
    It needs no container that runs."""
    password = stage.home / "password"
    password.write_text("of the host")
    stage.write_inventory(relman_secrets={"password": {"file": "password"}})
    env = {"WHO": "the service"}
    stage.release("hands-new", deploy={"secrets": {"password": {"env": "PASSWORD"}}, "env": env})
    stage.deploy("hands-new")
    password.unlink()
    before = _made(stage)
    script = 'cat; echo "$WHO $PASSWORD" $(hostname) >&2; exit 6'
    code, out, err = _exec(stage, "--new", "--", "sh", "-c", script, stdin=bytes(range(256)) * 4000)
    assert (code, out) == (6, bytes(range(256)) * 4000)
    assert err.startswith("the service of the host ")
    assert _made(stage) == before
    assert _exec(stage, "--new", "--", "no-such-program")[0] == 125
    for program, number in (("sleep 99", signal.SIGINT), ("cat", signal.SIGKILL)):
        running = subprocess.Popen(
            stage.argv("exec", *P, "--new", "--", "sh", "-c", f"echo up; {program}"),
            cwd=stage.home,
            env=stage.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert running.stdout
        assert running.stdout.readline() == b"up\n"
        running.send_signal(number)
        running.communicate(timeout=60)
        until(lambda: not _visitors(stage), f"nothing is left after {number}")
    dialog = [(b"# ", b"stty size\r"), (b"# ", b"exit 5\r")]
    code, shown = _typed(stage, "--new", "--", "sh", dialog=dialog)
    assert (code, shown.startswith("h1: a new container of hands-new")) == (5, True), shown
    assert "\n40 100\r" in shown, shown
    assert _visitors(stage) == []
    stage.serve("hands-new")
    said = stage.relman("history", *P, "--json").out
    outcomes = [entry["outcome"] for entry in json.loads(said)["entries"]]
    assert outcomes[:5] == ["exit code 5", "begun", "cancelled", "failed", "exit code 6"]
    assert "sh in a new container of hands-new" in said
    assert "WHO" not in said
