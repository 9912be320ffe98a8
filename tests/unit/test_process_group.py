"""Commands in process groups of their own, held with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from relman.local import process_group
from relman.local.process_group import Tail, run, text
from relman.model.errors import Cancelled
from tests.lab.process import patience, until

ENV = {"PATH": os.environ["PATH"]}
NEVER = "sleep 600"
DEAF = f"trap '' TERM; {NEVER}"


def shell(script: str, timeout: float | None = None, cancel: threading.Event | None = None) -> tuple[int | None, str]:
    """How a script ended, and what it wrote."""
    output = Tail()
    code = run(["sh", "-c", script], output, env=ENV, timeout=timeout, cancel=cancel)
    return code, "\n".join(output.lines)


def is_gone(pid: int) -> bool:
    """Whether the process has ended, or ends in a moment."""
    stat = Path(f"/proc/{pid}/stat")

    def ended() -> bool:
        try:
            return stat.read_text().rpartition(")")[2].split()[0] in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return True

    return until(ended, f"the end of {pid}")


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_group, "GRACE", 0.3)


def test_what_a_command_writes_and_how_it_ends() -> None:
    """Exit codes and signals are told apart; standard error goes where it is wanted; there is no input."""
    assert shell("echo out; echo err >&2; exit 3") == (3, "out\nerr")
    assert shell("kill -KILL $$") == (-signal.SIGKILL, "")
    assert shell("cat; pwd >/dev/null") == (0, "")
    output, errors = Tail(), Tail()
    assert run(["sh", "-c", "echo out; echo err >&2"], output, errors=errors, env=ENV) == 0
    assert (output.lines, errors.lines) == (["out"], ["err"])
    with pytest.raises(FileNotFoundError):
        run(["/no/such/program"], output, env=ENV)


def test_output_is_handed_on_as_it_comes_and_may_be_bounded() -> None:
    """Text of several bytes survives being cut; only the last MiB is kept; a sink that raises ends the command."""
    pieces = list[str]()
    sink = text(pieces.append)
    for byte in "é\r\n€\rx".encode():
        sink(bytes([byte]))
    assert "".join(pieces) == "é\n€\nx"
    flood = Tail()
    assert run(["sh", "-c", "yes | head -c 3000000; echo end"], flood, env=ENV) == 0
    assert (flood.lines[-1], sum(map(len, flood.lines)) < 1 << 20) == ("end", True)

    def full(_: bytes) -> None:
        raise ValueError("full")

    with pytest.raises(ValueError, match="full"):
        run(["yes"], full, env=ENV)


def test_a_deadline_asks_first_and_then_kills() -> None:
    """A command may put things in order, and so may its children when it has gone before them; one that ignores SIGTERM
    is killed, and its children with it."""
    short = 0.3 * patience()
    code, said = shell(f"trap 'echo tidy; exit 0' TERM; {NEVER}", timeout=short)
    assert (code, said.splitlines()[-1]) == (None, "tidy")
    late = "trap 'sleep 0.1; echo tidy; exit' TERM; while :; do sleep 0.02; done"
    code, said = shell(f'sh -c "{late}" & wait', timeout=short)
    assert (code, said.splitlines()[-1]) == (None, "tidy")
    code, said = shell(f"trap '' TERM; {NEVER} & echo $!; echo $$; wait; {NEVER}", timeout=short)
    assert (code, [is_gone(int(pid)) for pid in said.split()]) == (None, [True, True])


def test_what_a_command_leaves_behind_ends_with_it() -> None:
    """A child that holds the output open; one that left the group is out of reach, and nobody waits for its output."""
    code, said = shell(f"{NEVER} & echo $!")
    assert (code, is_gone(int(said))) == (0, True)
    code, said = shell(f"setsid {NEVER} & sleep 0.1; echo $!")
    assert code == 0
    os.kill(int(said), signal.SIGKILL)


def test_a_command_is_cancelled() -> None:
    """Once the event is set, whoever sets it; its last words are heard, and the command and its child are gone."""
    cancel, written = threading.Event(), Tail()

    def started(piece: bytes) -> None:
        written(piece)
        cancel.set()

    with pytest.raises(Cancelled, match="cancelled while sh -c"):
        run(["sh", "-c", f"trap 'echo tidy' TERM; {NEVER} & echo $!; wait; {DEAF}"], started, env=ENV, cancel=cancel)
    assert is_gone(int(written.lines[0]))
    assert "tidy" in written.lines


@pytest.mark.parametrize("signals", [1, 2])
def test_an_interrupt_ends_the_group(signals: int, tmp_path: Path) -> None:
    """Ctrl-C ends what runs; a second one, while relman waits for a command that ignores SIGTERM, kills it at once."""
    script = "trap 'touch asked' TERM; echo $$ >new; mv new pid; while :; do sleep 1; done"
    program = (
        "import os, signal\nfrom relman.local import process_group\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored below a shell's `&`
        f"process_group.GRACE = {600 if signals == 2 else 0.3}\n"
        f"process_group.run(['sh', '-c', {script!r}], print, env=dict(os.environ))\n"
    )
    running = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    with running:
        try:
            until((tmp_path / "pid").exists, "the command")
            running.send_signal(signal.SIGINT)
            if signals == 2:
                until((tmp_path / "asked").exists, "SIGTERM")
                running.send_signal(signal.SIGINT)
            assert "KeyboardInterrupt" in running.communicate(timeout=20 * patience())[1]
        finally:
            running.kill()
    assert is_gone(int((tmp_path / "pid").read_text()))
