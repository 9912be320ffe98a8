"""The journal of a playbook run: a file below the data directory, written before and after every stage, and locked by
the process that runs it."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from relman.app.context import Context
from relman.app.retention import outlived
from relman.local import file_lock, whole_file
from relman.local.directories import data_directory
from relman.model.errors import Locked, StorageFailed
from relman.model.formats.clock import from_rfc3339, rfc3339

VERSION = 1
_MOST = 100
_DAYS = 90.0


@dataclass(frozen=True)
class StageRecord:
    """One stage: `state` is waiting, running, done or failed; `exit` is its exit code, None until it ends. Times are
    RFC 3339 in UTC, "" until they are known."""

    what: str
    state: str = "waiting"
    exit: int | None = None
    by: str = ""
    started: str = ""
    finished: str = ""


@dataclass(frozen=True)
class PlaybookRun:
    """One run of a playbook. `file` is absolute, `digest` that of its content; `outputs` are the variables set by its
    stages."""

    id: str
    file: str
    digest: str
    variables: Mapping[str, str]
    stages: tuple[StageRecord, ...]
    started: str
    outputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def next(self) -> int | None:
        """The index of the first stage that is not done; None if all are."""
        return next((i for i, stage in enumerate(self.stages) if stage.state != "done"), None)

    @property
    def at(self) -> str:
        """The time of the last change."""
        return max(self.started, *(time for stage in self.stages for time in (stage.started, stage.finished)))

    @property
    def by(self) -> str:
        """Who ran the last stage that was started."""
        return next((stage.by for stage in reversed(self.stages) if stage.by), "")

    def with_stage(self, number: int, **changes: Any) -> PlaybookRun:
        """The run with changes to one stage."""
        changed = replace(self.stages[number], **changes)
        return replace(self, stages=(*self.stages[:number], changed, *self.stages[number + 1 :]))

    def to_json(self) -> dict[str, Any]:
        """The JSON form, read back by `from_json`."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PlaybookRun:
        """Rebuild from `to_json`. Raises KeyError, TypeError or ValueError."""
        if data["version"] != VERSION:
            raise ValueError("written by another version")
        stages = tuple(StageRecord(**stage) for stage in data["stages"])
        return cls(**{key: data[key] for key in data if key not in ("version", "stages")}, stages=stages)


class PlaybookRuns:
    """All playbook runs on this machine, one file each in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def save(self, run: PlaybookRun) -> None:
        """Write a run atomically. Raises StorageFailed."""
        file = self._directory / f"{run.id}.json"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            whole_file.write(file, json.dumps(run.to_json(), indent=1) + "\n")
        except OSError as error:
            raise StorageFailed(f"cannot write {file}: {error.strerror}") from error

    def get(self, id: str) -> PlaybookRun | None:
        """The run with this id; None if it does not exist or cannot be read."""
        if not id.isalnum():
            return None
        with contextlib.suppress(OSError, KeyError, TypeError, ValueError):
            return PlaybookRun.from_json(json.loads((self._directory / f"{id}.json").read_text(encoding="utf-8")))
        return None

    def all(self) -> list[PlaybookRun]:
        """All readable runs."""
        return [j for path in self._directory.glob("*.json") if (j := self.get(path.stem))]

    def newest(self, file: str) -> PlaybookRun | None:
        """The newest run of this playbook."""
        return max((j for j in self.all() if j.file == file), key=lambda j: (j.started, j.id), default=None)

    def is_held(self, id: str) -> bool:
        """Whether a process is working on the run."""
        return file_lock.is_held(self._lock(id))

    def sweep(self, now: float | None = None) -> None:
        """Remove old runs, except the newest of each playbook, which can be resumed, and those in progress."""
        found = {j.id: j for j in self.all()}
        resumable = {j.file: j.id for j in sorted(found.values(), key=lambda j: (j.started, j.id))}
        times = {id: from_rfc3339(j.at).timestamp() for id, j in found.items()}
        old = outlived(times, time.time() if now is None else now, most=_MOST, days=_DAYS)
        for id in set(old) - set(resumable.values()):
            with contextlib.suppress(Locked, StorageFailed, OSError), self.held(found[id]):
                for kind in ("json", "lock"):
                    (self._directory / f"{id}.{kind}").unlink(missing_ok=True)

    @contextmanager
    def held(self, run: PlaybookRun) -> Iterator[None]:
        """Lock the run for this process; the kernel releases the lock if it dies. Raises Locked, StorageFailed."""
        file = self._lock(run.id)
        try:
            lock = file_lock.take(file)
        except OSError as error:
            raise StorageFailed(f"cannot write {file}: {error.strerror}") from error
        if lock is None:
            raise Locked(f"another process is running run {run.id} of this playbook")
        with lock:
            yield

    def _lock(self, id: str) -> Path:
        return self._directory / f"{id}.lock"


def playbook_runs(context: Context) -> PlaybookRuns:
    """The runs of playbooks on this machine."""
    return PlaybookRuns(data_directory(context.environ) / "playbooks")


def new_run(file: str, digest: str, variables: Mapping[str, str], stages: list[str]) -> PlaybookRun:
    """A run without any stage done."""
    return PlaybookRun(secrets.token_hex(4), file, digest, dict(variables), tuple(map(StageRecord, stages)), now())


def now() -> str:
    """The current time, RFC 3339 in UTC with milliseconds."""
    return rfc3339(datetime.now(UTC), "milliseconds")
