"""Print text for people, JSON documents for programs, and errors on stderr."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, TextIO

from relman.cli.exits import exit_of
from relman.cli.output.ci_marks import marks_of
from relman.cli.output.tables import table
from relman.config.ci_systems import system_of
from relman.model.errors import ConfigError, RelmanError, UsageError
from relman.model.formats.mask import NOTHING, Mask
from relman.model.formats.text import clean
from relman.model.state_dir.journal import secrets_of

JSON_VERSION = 1
_CLEAR = "\x1b[2J\x1b[H"
_WIDTH = 80  # if the width of the terminal is unknown

_BOLD, _RED, _YELLOW = "1", "31", "33"


class HostProgress(Protocol):
    """Receives the progress of each host, from any thread."""

    def update(self, host: str, phase: str) -> None:
        """`host` has entered `phase`."""

    def finish(self, host: str, outcome: str, *, ok: bool) -> None:
        """`host` is done."""


class Output:
    """Prints everything. With --json, stdout contains only JSON documents, one on a line, and commentary goes to
    stderr. A closed pipe ends the printing, never the command."""

    def __init__(
        self, *, json: bool, environ: Mapping[str, str], stdout: TextIO, stderr: TextIO, stdin: TextIO | None
    ) -> None:
        self.wants_json = json
        self.closed = False
        self._out, self._err, self._in = stdout, stderr, stdin
        smart = environ.get("TERM", "dumb") != "dumb"
        self._colour = smart and not environ.get("NO_COLOR")
        self._live = smart and not json and stdout.isatty()
        self._lock = threading.RLock()
        self._warned: set[str] = set()
        self._environ = environ
        self._system = system_of(environ)
        self._groups = 0
        self._group = ""
        self._hidden: set[str] = set()
        self.mask = NOTHING
        for stream in (stdout, stderr):
            with contextlib.suppress(AttributeError, ValueError):
                stream.reconfigure(errors="backslashreplace")  # type: ignore[attr-defined]

    def line(self, text: str = "") -> None:
        """A line of the result, for people; nothing with --json."""
        if not self.wants_json:
            self._write(self._out, clean(text))

    def heading(self, text: str) -> None:
        """The heading of a section."""
        self.end_phase()
        self._write(self._commentary, self._paint(self._commentary, _BOLD, f"== {clean(text)}"))

    def phase(self, text: str) -> None:
        """The heading of a phase that may be long; a collapsible section if the CI system's log has them."""
        self.end_phase()
        self._groups += 1
        if opened := self._system.begin(self._groups, clean(text), int(time.time())):
            self._group = clean(text)
            self._write(self._commentary, opened)
        else:
            self.heading(text)

    def end_phase(self) -> None:
        """End the current section."""
        if self._group:
            self._write(self._commentary, self._system.end(self._groups, self._group, int(time.time())))
            self._group = ""

    def note(self, text: str) -> None:
        """Progress: output of a build, a phase that was reached."""
        self._write(self._commentary, clean(text))

    def warn(self, text: str) -> None:
        """A warning, which did not stop the command."""
        self._write(self._err, f"{self._paint(self._err, _YELLOW, 'warning:')} {clean(text)}")

    def warn_once(self, text: str) -> None:
        """A warning that is shown only once."""
        with self._lock:
            if text not in self._warned:
                self._warned.add(text)
                self.warn(text)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], shared: Collection[str] = ()) -> None:
        """Rows under a heading, for people; nothing with --json. A column in `shared` with equal values is shown as one
        line."""
        if self.wants_json:
            return
        made = table(columns, rows, self._width, shared)
        head = (self._paint(self._out, _BOLD, line) for line in made.head)
        self._write(self._out, "\n".join((*head, *made.body)))

    @property
    def _width(self) -> int:
        """The width of the terminal in columns: COLUMNS, else its own."""
        if (said := self._environ.get("COLUMNS", "")).isdecimal() and int(said):
            return int(said)
        with contextlib.suppress(OSError, ValueError):
            return os.get_terminal_size(self._out.fileno()).columns or _WIDTH
        return _WIDTH

    def clear(self) -> bool:
        """Clear the terminal on which results are shown, and return whether there is one."""
        shown = not self.wants_json and self._out.isatty()
        if shown:
            self._write(self._out, _CLEAR)
        return shown

    def raw(self, data: bytes) -> None:
        """Bytes as they are."""
        with self._lock:
            self._out.flush()
            self._out.buffer.write(data)
            self._out.flush()

    def hide(self, secrets: Iterable[str]) -> None:
        """Show *** in place of each of these, in all that is printed from now on, documents too."""
        self._hidden |= {secret for secret in secrets if secret.strip()}
        self.mask = secrets_of(self._hidden)

    def json(self, kind: str, data: Mapping[str, Any]) -> None:
        """A JSON document with --json, else nothing. `version` is raised when a key changes its meaning."""
        if self.wants_json:
            document = {"version": JSON_VERSION, "kind": kind} | dict(data)
            self._write(self._out, json.dumps(_masked(document, self.mask), default=str))

    def error(self, error: RelmanError, *, debug: bool = False, code: int | None = None) -> None:
        """An error as text on stderr, and with --json as a document, too. `code` is that of the command, if it has its
        own."""
        self.end_phase()
        self._write(self._err, "\n".join(self._error_lines(error)))
        if debug:
            self._write(self._err, clean("".join(traceback.format_exception(error)).rstrip()))
        for marked in marks_of(self._system, error, self._environ):
            self._write(self._err, marked)
        self.json("error", _error_data(error, code))

    @property
    def can_ask(self) -> bool:
        """Whether a person at a terminal can answer."""
        return not self.wants_json and bool(self._in and self._in.isatty() and self._err.isatty())

    def confirm(self, question: str) -> bool:
        """Ask; only y and yes confirm. Raises UsageError if there is no terminal."""
        if not (self.can_ask and self._in):
            raise UsageError("this needs a confirmation, and there is no terminal", hint="Pass --yes to confirm it.")
        self._err.write(f"{self.mask(clean(question))} [y/N] ")
        self._err.flush()
        return self._in.readline().strip().lower() in ("y", "yes")

    @contextmanager
    def progress(self, hosts: Sequence[str]) -> Iterator[HostProgress]:
        """Show the progress of each host: live on a terminal, else a line for each phase."""
        if not self._live:
            yield _Lines(self)
            return
        from relman.cli.output.live_progress import Live

        before = self._out, self._err
        with Live(hosts, self._out, colour=self._colour) as live:
            self._out, self._err = live.above, live.above if self._err.isatty() else self._err
            try:
                yield live
            finally:
                self._out, self._err = before

    @property
    def _commentary(self) -> TextIO:
        return self._err if self.wants_json else self._out

    def _error_lines(self, error: RelmanError) -> Iterator[str]:
        yield f"{self._paint(self._err, _RED, 'error:')} {clean(str(error))}"
        for detail in error.details:
            yield from (f"    {line}" for line in clean(detail).split("\n"))
        if error.hint:
            yield f"hint: {clean(error.hint)}"

    def _paint(self, stream: TextIO, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour and stream.isatty() else text

    def _write(self, stream: TextIO, text: str) -> None:
        text = self.mask(text)
        with self._lock:
            if stream is self._out and self.closed:
                return
            try:
                stream.write(f"{text}\n")
                stream.flush()
            except OSError as error:
                self._failed(stream, error)

    def _failed(self, stream: TextIO, error: OSError) -> None:
        """The reader is gone, or the disk is full. That must not stop a command half way."""
        if stream is self._err:
            return
        self.closed = True
        point_at_nothing(stream)
        if error.errno not in (errno.EPIPE, errno.EIO):
            self.warn(f"the output could not be written: {error.strerror}")


def _masked(value: Any, mask: Mask) -> Any:
    """The same document, where a text may hold a secret that JSON would write in another form."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {key: _masked(item, mask) for key, item in value.items()}
    return [_masked(item, mask) for item in value] if isinstance(value, list | tuple) else value


def _error_data(error: RelmanError, code: int | None) -> dict[str, Any]:
    problems = error.problems if isinstance(error, ConfigError) else ()
    return {
        "code": int(code or exit_of(type(error))),
        "error": type(error).__name__,
        "message": error.what,
        "host": error.host,
        "hint": error.hint,
        "details": list(error.details),
        "where": [asdict(problem) for problem in problems],
    }


class _Lines:
    """Progress without redrawing."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def update(self, host: str, phase: str) -> None:
        self._output.note(f"{host}: {phase}")

    def finish(self, host: str, outcome: str, *, ok: bool) -> None:
        self._output.note(f"{host}: {outcome}" if ok else f"{host}: FAILED: {outcome}")


def point_at_nothing(stream: TextIO) -> None:
    """Redirect `stream` to /dev/null, so that its buffer does not raise again when the interpreter exits."""
    with contextlib.suppress(OSError, ValueError), Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), stream.fileno())


def standard_output(json: bool, environ: Mapping[str, str]) -> Output:
    """The Output of this process; output to a closed standard stream is discarded."""
    return Output(
        json=json,
        environ=environ,
        stdout=sys.stdout or io.StringIO(),
        stderr=sys.stderr or io.StringIO(),
        stdin=sys.stdin,
    )
