"""Write and read the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Engine, Select, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from relman.ledger.database import open_database, read_only, translated
from relman.ledger.entries import Entry, HostOutcome, utc
from relman.ledger.pending import Pending
from relman.ledger.tables import Base, Deployment, DeploymentHost, ReleaseRecord, RunRecord
from relman.model.errors import RelmanError, StorageFailed
from relman.model.formats.untrusted_json import Misread, parse, read
from relman.model.state_dir.journal import Failed

BUSY = 5.0

Attribute: TypeAlias = InstrumentedAttribute[str]


class Ledger:
    """The ledger in one SQLite file, created when it is first written; safe for concurrent processes.

    Recording never fails a command: an error is passed to `warn`. Times are RFC 3339.
    """

    def __init__(self, file: Path, warn: Callable[[str], None], *, busy: float = BUSY) -> None:
        self._file, self._warn, self._busy = file, warn, busy

    def record_run(
        self, *, run: str, service: str, commit: str, config: str, outcome: str, by: str, finished: str
    ) -> None:
        """Record that a run's tests have ended; `config` is the digest of the tested image's configuration."""
        self._record(
            lambda: RunRecord(
                run=run, service=service, commit=commit, config=config, outcome=outcome, by=by, finished=utc(finished)
            )
        )

    def record_release(
        self,
        *,
        service: str,
        repository: str,
        tag: str,
        manifest: str,
        run: str,
        by: str,
        at: str,
        reason: str = "",
    ) -> None:
        """Record a release; `reason` is why gates were skipped for it, "" if none was."""
        self._record(
            lambda: ReleaseRecord(
                service=service,
                repository=repository,
                tag=tag,
                manifest=manifest,
                run=run,
                by=by,
                at=utc(at),
                reason=reason,
            )
        )

    def history(self, limit: int, environment: str | None = None, service: str | None = None) -> list[Entry]:
        """Return the newest entries, newest first; with `environment`, only its deployments. Raises StorageFailed."""
        with self._reading() as session:
            if session is None:
                return []
            rows = _newest(select(Deployment), Deployment.finished, limit, Deployment.service, service)
            if environment is not None:
                rows = rows.where(Deployment.environment == environment)
            entries = [_of_deployment(d) for d in session.scalars(rows)]
            if environment is None:
                runs = _newest(select(RunRecord), RunRecord.finished, limit, RunRecord.service, service)
                releases = _newest(select(ReleaseRecord), ReleaseRecord.at, limit, ReleaseRecord.service, service)
                # The sort is stable: of entries with equal times, the later step (a deployment) comes first.
                entries += [_of_release(r) for r in session.scalars(releases)]
                entries += [_of_run(r) for r in session.scalars(runs)]
        return sorted(entries, key=lambda e: e.at, reverse=True)[:limit]

    def deployment(self, id: str) -> Entry | None:
        """Return one deployment with its outcome on each host; None if it is not recorded. Raises StorageFailed."""
        with self._reading() as session:
            found = session.get(Deployment, id) if session else None
            return _of_deployment(found, hosts=found.hosts) if found else None

    def of_run(self, run: str) -> list[Entry]:
        """Return the tests and releases of the run JOB/BUILD, oldest first. Raises StorageFailed."""
        with self._reading() as session:
            if session is None:
                return []
            runs = session.scalars(select(RunRecord).where(RunRecord.run == run))
            releases = session.scalars(select(ReleaseRecord).where(ReleaseRecord.run == run))
            entries = [*map(_of_run, runs), *map(_of_release, releases)]
        return sorted(entries, key=lambda e: e.at)

    @contextmanager
    def _reading(self) -> Iterator[Session | None]:
        """A session for reading; None if nothing was ever recorded, so that reading creates no file."""
        with translated(self._file):
            self._take_in()
            if not self._file.exists():
                yield None
                return
            with Session(read_only(self._engine)) as session:
                yield session

    def _take_in(self) -> None:
        """Enter the pending deployments; repeating it is harmless. If the database is locked, they stay pending."""
        try:
            with translated(self._file), Pending(self._file).taken() as waiting:
                if waiting:
                    with Session(self._engine) as session, session.begin():
                        for line in waiting:
                            session.merge(_deployment_of(line))
        except StorageFailed as error:
            self._warn(f"the latest deployments are not in this history: {error.what}")

    @cached_property
    def _engine(self) -> Engine:
        return open_database(self._file, busy=self._busy)

    def _record(self, row: Callable[[], Base]) -> None:
        try:
            with translated(self._file), Session(self._engine) as session, session.begin():
                session.merge(row())
        except (RelmanError, ValueError) as error:
            self._warn(f"not recorded in the history: {error}")


_Rows = TypeVar("_Rows", RunRecord, ReleaseRecord, Deployment)


def _newest(rows: Select[_Rows], time: Attribute, limit: int, name: Attribute, service: str | None) -> Select[_Rows]:
    chosen = rows if service is None else rows.where(name == service)
    return chosen.order_by(time.desc()).limit(limit)


def _deployment_of(line: Mapping[str, Any]) -> Deployment:
    own = {k: v for k, v in line.items() if k != "hosts"}
    return Deployment(
        **own,
        hosts=[
            DeploymentHost(
                deployment_id=line["id"], host=host, position=i, outcome=word, detail=detail, failed="".join(failed)
            )
            for i, (host, word, detail, *failed) in enumerate(line["hosts"])
        ],
    )


def _of_run(row: RunRecord) -> Entry:
    return Entry("tested", row.finished, row.by, row.service, row.outcome, release=row.run, digest=row.config)


def _of_release(row: ReleaseRecord) -> Entry:
    return Entry(
        "promoted", row.at, row.by, row.service, "released", release=row.tag, digest=row.manifest, reason=row.reason
    )


def _of_deployment(row: Deployment, hosts: Sequence[DeploymentHost] = ()) -> Entry:
    return Entry(
        what=row.kind,
        at=row.finished,
        by=row.by,
        service=row.service,
        outcome=row.outcome,
        id=row.id,
        environment=row.environment,
        release=row.release,
        digest=row.digest,
        reason=row.reason,
        began=row.started,
        hosts=tuple(HostOutcome(h.host, h.outcome, h.detail, _failed(h.failed)) for h in hosts),
    )


def _failed(text: str) -> Failed | None:
    with suppress(Misread):
        return read(Failed, parse(text.encode())) if text else None
    return None
