"""Run a command in a container that serves, or in a new one like it, as a person asks for it, and note that in its
host's journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath

from relman.app.context import Context
from relman.app.deployments.rollouts import new_asked
from relman.app.environments import Request, Selected, open_environment, service_of
from relman.docker.attached import Attached
from relman.hosts.state_dir import journal
from relman.model.errors import HostsFailed, RelmanError
from relman.model.formats.clock import timestamp
from relman.model.formats.mask import NOTHING
from relman.model.plan import Kind, Observed, Result
from relman.model.state_dir.journal import JournalLine, short
from relman.rollout.fleet import Fleet, Session
from relman.rollout.looking.observe import observe
from relman.rollout.one_off import attached_to_new
from relman.rollout.planning.planner import Asked, bare_plan
from relman.rollout.state.journal import served

_Attach = Callable[..., AbstractContextManager[Attached]]


@dataclass(frozen=True)
class CommandPlace:
    """Where a command is to run: `name` says it to people."""

    context: Context
    session: Session
    asked: Asked
    seen: Observed
    name: str
    attach: _Attach

    def run(self, argv: Sequence[str], use: Callable[[Attached], None], *, terminal: bool) -> int:
        """Run it, and let `use` have its streams until its output ends; returns its exit code.

        The journal names the program, and none of its arguments. Raises StepFailed, EngineError, NotFound or
        Unreachable.
        """
        line = self._line(f"{PurePosixPath(argv[0]).name} in {self.name}")
        self._note(replace(line, came_to="begun"))
        came_to = "cancelled"
        try:
            with self.attach(argv, terminal=terminal) as command:
                use(command)
                code = command.exit_code()
            came_to = f"exit code {code}"
        except RelmanError:
            came_to = "failed"
            raise
        finally:
            self._note(replace(line, came_to=came_to, ended=timestamp()))
        return code

    def _line(self, detail: str) -> JournalLine:
        asked, entry = self.asked, self.seen.record.serving
        return JournalLine(
            id=asked.id,
            kind=Kind.EXEC,
            by=short(asked.by, NOTHING),
            at=asked.at,
            ended=asked.at,
            result=Result.UNCHANGED,
            release=short(entry.release, NOTHING) if entry else "",
            manifest=str(entry.manifest) if entry else "",
            commit=short(entry.commit, NOTHING) if entry else "",
            detail=short(detail, NOTHING),
            serves=served(entry, entry.by, entry.at) if entry else None,
        )

    def _note(self, line: JournalLine) -> None:
        asked = self.asked
        try:
            journal.append(self.session.connection, asked.environment, asked.service, line, locked=False)
        except RelmanError as error:
            self.context.events.warn(f"{self.session.host.name}: its journal could not be written: {error.what}")


@contextmanager
def open_command(
    context: Context, request: Request, process: str | None = None, *, new: bool = False
) -> Iterator[CommandPlace]:
    """The first host on which the service, or this process of it, runs, or with `new` should run; with `only` in the
    request one of those.

    Raises HostsFailed where there is none.
    """
    chosen = open_environment(context, request)
    asked = new_asked(context, request, service_of(chosen, request.service), Selected(chosen, chosen))
    find = _new if new else _running
    with Fleet(chosen, asked.service) as fleet:
        found = fleet.ask(lambda session: observe(session, asked.environment, asked.service))
        for host in chosen.hosts:
            name = host.name
            if error := found.errors.get(name):
                context.events.warn(f"{name}: {error.what}")
            elif there := find(fleet.sessions[name], asked, found.answers[name], process):
                yield CommandPlace(context, fleet.sessions[name], asked, found.answers[name], *there)
                return
    what = f"{asked.service}'s process {process}" if process else asked.service
    raise HostsFailed(
        f"{what} {'was deployed to' if new else 'runs on'} no host that was asked",
        hint=f"relman status -e {asked.environment} shows what runs where",
        details=[f"{name}: {error.what}" for name, error in found.errors.items()],
    )


def _running(session: Session, _: Asked, seen: Observed, process: str | None) -> tuple[str, _Attach] | None:
    """The first container that serves, by the release's order of processes."""
    entry = seen.record.serving
    order = [unit.slot for unit in entry.parts] if entry else []
    serving = sorted(seen.serving, key=lambda c: order.index(c.slot) if c.slot in order else len(order))
    container = next((c for c in serving if process in (None, c.process)), None)
    return (container.name, partial(session.engine.inside.attach, container)) if container else None


def _new(session: Session, asked: Asked, seen: Observed, process: str | None) -> tuple[str, _Attach] | None:
    """A new container of the process, by default the first, of what serves or should."""
    entry = seen.record.serving
    name = next((p.name for p in entry.settings.parts if process in (None, p.name)), None) if entry else None
    if entry is None or name is None:
        return None
    plan = bare_plan(asked, Kind.EXEC, entry.release, ())
    return f"a new container of {entry.release}", partial(attached_to_new, session, plan, seen, name)
