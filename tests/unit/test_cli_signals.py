"""Whatever ends a command ends it once, in the main thread, and with 130."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.unit.cli import environ, python

# A verb that says when it is at work, and how often it was stopped.
SLEEPER = """
import os, signal, threading
import relman.config.service as service
from relman.cli.main import main

def work(path):
    stopped = 0
    try:
        try:
            print("ready", flush=True)
            for _ in range(600):  # a signal between two steps of Python is seen only when a wait has ended
                threading.Event().wait(0.1)
        except Exception:
            print("swallowed", flush=True)
    except KeyboardInterrupt:
        stopped += 1
        try:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
                os.kill(os.getpid(), number)
        except KeyboardInterrupt:
            stopped += 1
        print("stopped", stopped, flush=True)
        raise

service.check_service = work
main()
"""


def _start(*arguments: str, nohup: bool = False) -> subprocess.Popen[str]:
    """A command as a terminal starts it, or nohup, whichever of the two the tests were started by."""
    hangup = "IGN" if nohup else "DFL"
    code = f"import signal\nsignal.signal(signal.SIGHUP, signal.SIG_{hangup})\n{SLEEPER}"
    return subprocess.Popen(
        python(code, "check", "-f", "relman.yml", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ(),
    )


@pytest.mark.parametrize(
    ("number", "said"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM"), (signal.SIGHUP, "terminal")]
)
def test_a_signal_cancels_once(number: signal.Signals, said: str) -> None:
    """The first signal reaches the main thread past any `except Exception`; the ones after it disturb nothing."""
    with _start() as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "stopped 1\n")
    assert err.startswith("error: cancelled")
    assert said in err


def test_the_deadline_cancels_like_a_signal() -> None:
    """--timeout ends the command with 130 and says that it was the reason."""
    with _start("--timeout", "0.2") as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "ready\nstopped 1\n")
    assert "--timeout" in err


def test_nohup_is_respected() -> None:
    """A command that was started to outlive its terminal does."""
    with _start(nohup=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, "SIGTERM" in err) == (130, True)
