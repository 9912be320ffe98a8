"""Show what a fleet does while it does it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from relman.cli.output.printer import HostProgress, Output
from relman.cli.output.text import size

_PULL_STEP = 0.25
_PULL_SMALL = 1e6  # bytes: a smaller total is preliminary, before the large layers are known
_LAST_PHASE = "done"


class Screen:
    """Prints what the fleet does; the progress of a pull in quarters."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._progress: HostProgress | None = None
        self._told: dict[str, str] = {}
        self._share: dict[str, float] = {}

    @contextmanager
    def showing(self, hosts: Sequence[str]) -> Iterator[None]:
        """Show progress during the block."""
        with self._output.progress(hosts) as self._progress:
            yield
        self._progress = None

    def host(self, host: str, phase: str, done: int = 0, total: int = 0) -> None:
        """`host` has entered `phase`."""
        if total:
            share = int(done / total / _PULL_STEP) * _PULL_STEP
            # The share decreases when the engine discovers another layer.
            if total < _PULL_SMALL or not self._share.get(host, 0) < share < 1:
                return
            self._share[host] = share
            phase = f"{phase} {share:.0%} of {size(total)}"
        if self._progress and self._told.get(host) != phase:
            self._told[host] = phase
            if phase == _LAST_PHASE:
                self._progress.finish(host, phase, ok=True)
            else:
                self._progress.update(host, phase)

    def hide(self, secrets: Iterable[str]) -> None:
        """None of these may be shown from now on."""
        self._output.hide(secrets)

    def say(self, text: str) -> None:
        """A message about the whole fleet."""
        self._output.note(text)
