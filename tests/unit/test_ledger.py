"""The ledger keeps history through upgrades and crowds, and never stands in the way."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from relman.ledger.database import open_database
from relman.ledger.entries import HostOutcome
from relman.ledger.ledger import Ledger
from relman.ledger.pending import record_deployment
from relman.ledger.tables import HEAD, Base
from relman.model.errors import StorageFailed


class Warnings(list[str]):
    """Collects what would be shown."""

    def __call__(self, text: str) -> None:
        """Take one warning."""
        self.append(text)


def _file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "ledger.sqlite3"


def _ledger(tmp_path: Path, warn: Callable[[str], None] | None = None, busy: float = 5.0) -> Ledger:
    def fail(text: str) -> None:
        raise AssertionError(text)

    return Ledger(_file(tmp_path), fail if warn is None else warn, busy=busy)


def _deploy(ledger: Ledger, id: str, *, environment: str = "production", at: str = "", outcome: str = "done") -> None:
    record_deployment(
        ledger._file,
        ledger._warn,
        id=id,
        kind="deployed",
        service="shop",
        environment=environment,
        release="118",
        digest="sha256:" + "a" * 64,
        by="ann@laptop",
        started="2026-01-01T00:00:00Z",
        finished=at or f"2026-01-01T00:00:{int(id):02}Z",
        outcome=outcome,
        hosts=[HostOutcome("web2", outcome), HostOutcome("web1", outcome, "took 3 s")],
        reason="because",
    )


def _run(ledger: Ledger, at: str) -> None:
    ledger.record_run(
        run="shop/118", service="shop", commit="c", config="sha256:" + "b" * 64, outcome="passed", by="ci", finished=at
    )


def _release(ledger: Ledger, at: str, service: str = "shop") -> None:
    ledger.record_release(
        service=service, repository="r:5000/shop", tag="118", manifest="m", run="shop/118", by="ci", at=at
    )


def test_history_is_newest_first_over_all_kinds(tmp_path: Path) -> None:
    """Runs, releases and deployments come in the order in which they ended, whatever form their times had."""
    ledger = _ledger(tmp_path)
    _deploy(ledger, "3", at="2026-01-01T12:00:00+02:00")
    _run(ledger, "2026-01-01T08:00:00Z")
    _release(ledger, "2026-01-01T09:00:00.5Z")
    assert [(e.what, e.release) for e in ledger.history(10)] == [
        ("deployed", "118"),
        ("promoted", "118"),
        ("tested", "shop/118"),
    ]
    assert [e.what for e in ledger.history(1)] == ["deployed"]


def test_history_of_an_environment_or_a_service(tmp_path: Path) -> None:
    """An environment's history is its deployments; the limit counts what is asked for, not what was filtered out."""
    ledger = _ledger(tmp_path)
    _deploy(ledger, "1", environment="staging")
    _deploy(ledger, "2")
    _release(ledger, "2026-02-01T00:00:00Z", service="other")
    assert [e.id for e in ledger.history(1, environment="staging")] == ["1"]
    assert [e.what for e in ledger.history(9, service="other")] == ["promoted"]
    assert ledger.history(9, service="none") == []


def test_a_deployment_is_told_with_its_hosts(tmp_path: Path) -> None:
    """Each host's outcome, in the order in which the deployment went; another machine's id is unknown."""
    ledger = _ledger(tmp_path)
    _deploy(ledger, "1")
    entry = _ledger(tmp_path).deployment("1")
    assert entry is not None
    assert entry.hosts == (HostOutcome("web2", "done"), HostOutcome("web1", "done", "took 3 s"))
    assert (entry.by, entry.reason, entry.at) == ("ann@laptop", "because", "2026-01-01T00:00:01.000Z")
    assert ledger.deployment("2") is None


def test_a_later_record_replaces_an_earlier_one(tmp_path: Path) -> None:
    """A recovery that ends a deployment under the same id leaves one record of it."""
    ledger = _ledger(tmp_path)
    _deploy(ledger, "1", outcome="interrupted")
    _deploy(ledger, "1", outcome="recovered")
    assert [e.outcome for e in ledger.history(9)] == ["recovered"]
    entry = ledger.deployment("1")
    assert entry is not None
    assert {h.outcome for h in entry.hosts} == {"recovered"}


def test_looking_makes_no_file(tmp_path: Path) -> None:
    """History on a machine that never did anything is empty, and leaves it as it was."""
    assert _ledger(tmp_path).history(9) == []
    assert list(tmp_path.iterdir()) == []


def test_the_migrations_lead_to_the_tables(tmp_path: Path) -> None:
    """A migrated database has exactly the tables that the code expects, and HEAD is the newest revision."""
    engine = open_database(_file(tmp_path), busy=5)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    config = Config()
    config.set_main_option("script_location", "relman.ledger:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_an_up_to_date_ledger_does_not_import_alembic(tmp_path: Path) -> None:
    """Reading costs no migration library once the file is there."""
    _run(_ledger(tmp_path), "2026-01-01T00:00:00Z")
    code = (
        "import sys; from pathlib import Path; from relman.ledger.ledger import Ledger\n"
        "ledger = Ledger(Path(sys.argv[1]), print)\n"
        "print(len(ledger.history(9)), 'alembic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, _file(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "1 False\n"


def test_many_processes_record_into_a_new_ledger_at_once(tmp_path: Path) -> None:
    """None of them fails or loses a record, though all of them find no file."""
    code = (
        "import sys; from pathlib import Path; from relman.ledger.ledger import Ledger\n"
        "sys.stdin.readline()\n"
        "ledger = Ledger(Path(sys.argv[1]), lambda text: sys.exit(text), busy=60)\n"
        "for i in range(5): ledger.record_release(service=sys.argv[2], repository='', tag=str(i), manifest='', "
        "run='', by='', at='2026-01-01T00:00:00Z')"
    )
    command = [sys.executable, "-c", code, str(_file(tmp_path))]
    processes = [subprocess.Popen([*command, str(i)], stdin=subprocess.PIPE) for i in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait(timeout=120) for process in processes] == [0] * 4
    assert len(_ledger(tmp_path).history(99)) == 20


def test_a_crowd_waits_for_its_turn_but_not_for_ever(tmp_path: Path) -> None:
    """A ledger that someone else holds is a warning; reading goes on meanwhile, and a deployment is not forgotten."""
    warnings = Warnings()
    _deploy(_ledger(tmp_path), "1")
    assert [e.id for e in _ledger(tmp_path).history(9)] == ["1"]
    holder = sqlite3.connect(_file(tmp_path), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    ledger = _ledger(tmp_path, warnings, busy=0.05)
    _deploy(ledger, "2")
    assert warnings == []
    assert [e.id for e in ledger.history(9)] == ["1"]
    _run(ledger, "2026-01-01T00:00:00Z")
    holder.close()
    assert ["locked" in w for w in warnings] == [True, True]
    assert [e.id for e in ledger.history(9)] == ["2", "1"]


def test_many_processes_deploy_while_others_read(tmp_path: Path) -> None:
    """No deployment is lost between those who add one and those who enter it into the database."""
    code = (
        "import sys; from pathlib import Path; from relman.ledger.pending import record_deployment\n"
        "for i in range(20): record_deployment(Path(sys.argv[1]), sys.exit, id=f'{sys.argv[2]}-{i}', kind='deployed', "
        "service='', environment='', release='', digest='', by='', started='2026-01-01T00:00:00Z', "
        "finished='2026-01-01T00:00:00Z', outcome='done', hosts=[])"
    )
    command = [sys.executable, "-c", code, str(_file(tmp_path))]
    processes = [subprocess.Popen([*command, str(i)]) for i in range(3)]
    while any(process.poll() is None for process in processes):
        _ledger(tmp_path).history(1)
    assert [process.returncode for process in processes] == [0] * 3
    assert len(_ledger(tmp_path).history(99)) == 60


def test_a_deployment_that_was_left_half_written_harms_no_other(tmp_path: Path) -> None:
    """A process that died while it noted a deployment loses that one alone."""
    _deploy(_ledger(tmp_path), "1")
    with _file(tmp_path).with_suffix(".pending").open("a") as file:
        file.write('{"id": "2", "ki')
    _deploy(_ledger(tmp_path), "3")
    assert [e.id for e in _ledger(tmp_path).history(9)] == ["3", "1"]


def _garbage(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("this is no database " * 99)


def _directory(file: Path) -> None:
    file.mkdir(parents=True)


def _no_directory(file: Path) -> None:
    file.parent.write_text("a file where the directory belongs")


def _newer(file: Path) -> None:
    file.parent.mkdir()
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    connection.close()


@pytest.mark.parametrize("spoil", [_garbage, _directory, _no_directory, _newer])
def test_a_broken_ledger_is_a_warning(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    """What cannot be recorded is said and passed over."""
    spoil(_file(tmp_path))
    warnings = Warnings()
    _run(_ledger(tmp_path, warnings), "2026-01-01T00:00:00Z")
    assert len(warnings) == 1
    assert str(_file(tmp_path)) in warnings[0]


@pytest.mark.parametrize("spoil", [_garbage, _directory, _newer])
def test_a_broken_ledger_has_no_history(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    """Reading one is an error that names the file and what to do."""
    spoil(_file(tmp_path))
    with pytest.raises(StorageFailed) as caught:
        _ledger(tmp_path).history(9)
    assert str(_file(tmp_path)) in str(caught.value)
    assert caught.value.hint


def test_a_deployment_that_cannot_be_noted_is_a_warning(tmp_path: Path) -> None:
    """The deployment is as good as it was."""
    _no_directory(_file(tmp_path))
    warnings = Warnings()
    _deploy(_ledger(tmp_path, warnings), "1")
    assert len(warnings) == 1
    assert str(_file(tmp_path)) in warnings[0]


def test_a_time_that_is_none_is_a_warning(tmp_path: Path) -> None:
    """Also a mistake of the caller fails no deployment."""
    warnings = Warnings()
    _deploy(_ledger(tmp_path, warnings), "1", at="yesterday")
    assert len(warnings) == 1
