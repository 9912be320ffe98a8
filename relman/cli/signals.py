"""Ctrl-C, SIGTERM, a closed terminal and the deadline all end a command in the same way."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from types import FrameType

_REASONS: Mapping[int, str] = {
    signal.SIGINT: "cancelled by Ctrl-C (SIGINT)",
    signal.SIGTERM: "cancelled by SIGTERM",
    signal.SIGHUP: "cancelled because the terminal was closed (SIGHUP)",
    signal.SIGALRM: "cancelled because the --timeout has passed",
}


class Stop(KeyboardInterrupt):
    """The command has to end; raised in the main thread.

    It is a KeyboardInterrupt, so that no `except Exception` catches it, and code that handles Ctrl-C handles all of
    these. `reason` is a sentence for people.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Signals:
    """Turns the first of these signals into one Stop, and ignores later ones, so that the reaction to the first is not
    disturbed."""

    def __init__(self) -> None:
        self.reason = ""
        self._over = False

    def install(self) -> None:
        """Handle the signals from now on. SIGHUP stays ignored if it was (nohup)."""
        for number in _REASONS:
            if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue
            signal.signal(number, self._received)

    def deadline(self, seconds: float) -> None:
        """Stop the command in `seconds` from now."""
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def rearm(self, deadline: float | None) -> None:
        """Another command begins in this process; `deadline` as above. Raises Stop if a signal arrived after the
        previous one had ended."""
        self._over = False
        if self.reason:
            raise Stop(self.reason)
        if deadline is not None:
            self.deadline(max(deadline, 0.001))

    def ignore(self) -> None:
        """Ignore the signals, because the exit code is final: the interpreter resets handlers at exit, but keeps
        ignored signals ignored."""
        for number in _REASONS:
            signal.signal(number, signal.SIG_IGN)

    def disarm(self) -> None:
        """The command is over; later signals have no effect on it."""
        self._over = True
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _received(self, number: int, _frame: FrameType | None) -> None:
        if self._over:
            if number != signal.SIGALRM:
                self.reason = self.reason or _REASONS[number]
            return
        self._over = True
        self.reason = _REASONS[number]
        raise Stop(self.reason)
