"""Run a command in a container that serves, as a person asks for it, and note that in its host's journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from relman.app.context import Context
from relman.app.deployments.rollouts import new_asked
from relman.app.environments import Request, Selected, open_environment, service_of
from relman.docker.attached import Attached
from relman.hosts.state_dir import journal
from relman.model.container import Container
from relman.model.errors import HostsFailed, RelmanError
from relman.model.formats.clock import timestamp
from relman.model.formats.mask import NOTHING
from relman.model.plan import Kind, Observed, Result
from relman.model.state_dir.journal import JournalLine, short
from relman.rollout.fleet import Fleet, Session
from relman.rollout.looking.observe import observe
from relman.rollout.planning.planner import Asked
from relman.rollout.state.journal import served


@dataclass(frozen=True)
class CommandPlace:
    """The container in which a command is to run."""

    context: Context
    session: Session
    asked: Asked
    seen: Observed
    container: Container

    def run(self, argv: Sequence[str], use: Callable[[Attached], None], *, terminal: bool) -> int:
        """Run it, and let `use` have its streams until its output ends; returns its exit code.

        The journal names the program, and none of its arguments. Raises EngineError, NotFound or Unreachable.
        """
        program = PurePosixPath(argv[0]).name
        line = self._line(f"{program} in {self.container.name}")
        self._note(replace(line, came_to="begun"))
        with self.session.engine.inside.attach(self.container, argv, terminal=terminal) as command:
            use(command)
            code = command.exit_code()
        self._note(replace(line, came_to=f"exit code {code}", ended=timestamp()))
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
def open_command(context: Context, request: Request, process: str | None = None) -> Iterator[CommandPlace]:
    """The first host on which the service, or this process of it, runs; with `only` in the request one of those.

    Raises HostsFailed where it runs on none.
    """
    chosen = open_environment(context, request)
    asked = new_asked(context, request, service_of(chosen, request.service), Selected(chosen, chosen))
    with Fleet(chosen, asked.service) as fleet:
        found = fleet.each(lambda session: observe(session, asked.environment, asked.service))
        errors = {**fleet.unreachable, **found.errors}
        for host in chosen.hosts:
            name = host.name
            if name in errors:
                context.events.warn(f"{name}: {errors[name].what}")
            elif container := _container(found.answers[name], process):
                yield CommandPlace(context, fleet.sessions[name], asked, found.answers[name], container)
                return
    what = f"{asked.service}'s process {process}" if process else asked.service
    raise HostsFailed(
        f"{what} runs on no host that was asked",
        hint=f"relman status -e {asked.environment} shows what runs where",
        details=[f"{name}: {error.what}" for name, error in errors.items()],
    )


def _container(seen: Observed, process: str | None) -> Container | None:
    """The first container that serves, by the release's order of processes."""
    entry = seen.record.serving
    order = [unit.slot for unit in entry.parts] if entry else []
    serving = sorted(seen.serving, key=lambda c: order.index(c.slot) if c.slot in order else len(order))
    return next((c for c in serving if process in (None, c.process)), None)
