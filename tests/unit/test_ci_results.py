"""Test results on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.ci.results.report_store import directory, load, read, save, write
from relman.model.errors import ConfigError, StorageFailed, UsageError
from relman.model.image import ConfigDigest, Platform
from relman.model.run import CommandResult, Commit, RunName, TestReport
from relman.model.test_cases import Findings, TestCase, TestTotals

TEXT = st.text(max_size=10)


def make(config: bytes = b"image", argv: tuple[str, ...] = ("pytest",), code: int | None = 0) -> TestReport:
    """A report."""
    return TestReport(
        run=RunName("team/shop", "118", "shop"),
        service="shop",
        config=ConfigDigest.of(config),
        platform=Platform("linux", "amd64"),
        commit=Commit("1" * 40, "main", "https://git.example/shop", True),
        commands=(CommandResult(argv, code, 1.5),),
        services={"db": "reg.example/db@sha256:" + "a" * 64},
        started="2026-01-01T00:00:00Z",
        finished="2026-01-01T00:01:00Z",
    )


@given(st.lists(TEXT).map(tuple), st.none() | st.integers(0, 255))
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, argv: tuple[str, ...], code: int | None
) -> None:
    """A report comes back from a file exactly as it was."""
    file = tmp_path_factory.mktemp("results") / "deep/er/report.json"
    report = make(argv=argv, code=code)
    write(report, file)
    assert read(file) == report


def test_findings_are_written_and_read(tmp_path: Path) -> None:
    """Totals, failures, flaky ones and the slowest come back, and how often a command was tried."""
    command = CommandResult(("pytest",), 0, 1.5, "unit", "1 of 2 tests failed", 2)
    found = Findings(TestTotals(2, 1), (TestCase("t.a", 0.5, "assert"),), ("t.b",), (TestCase("t.a", 0.5),))
    report = replace(make(), commands=(command,), findings=found)
    write(report, tmp_path / "report.json")
    assert read(tmp_path / "report.json") == report


def test_a_report_of_an_older_relman(tmp_path: Path) -> None:
    """A file that knows nothing of names, attempts and findings is still read."""
    data = make().to_json()
    del data["findings"]
    data["commands"] = [{"argv": ["pytest"], "exit_code": 0, "seconds": 1.5}]
    (tmp_path / "report.json").write_text(json.dumps(data))
    assert read(tmp_path / "report.json") == make()


def test_kept_by_config_digest(tmp_path: Path) -> None:
    """Each image has its own results; a later run of the same image replaces them, and nothing else is left."""
    save(make(code=1), tmp_path)
    save(make(b"other"), tmp_path)
    save(make(code=0), tmp_path)
    assert load(ConfigDigest.of(b"image"), tmp_path) == make(code=0)
    assert len(list(tmp_path.iterdir())) == 2


def test_an_image_never_tested(tmp_path: Path) -> None:
    """Without results the error says how to get them."""
    with pytest.raises(UsageError) as error:
        load(ConfigDigest.of(b"image"), tmp_path)
    assert "relman test" in error.value.hint


def test_results_under_another_image_s_name(tmp_path: Path) -> None:
    """A file renamed to another image's digest does not vouch for that image."""
    save(make(), tmp_path).rename(tmp_path / f"{ConfigDigest.of(b'other').hex}.json")
    with pytest.raises(ConfigError):
        load(ConfigDigest.of(b"other"), tmp_path)


@pytest.mark.parametrize(
    ("content", "line"),
    [('{\n "run": ', 2), ("[]", 1), ("null", 1), ("{}", 1), ('{"run": 1}', 1), ('{"run": "x"}', 1), ("\ufeff{}", 1)],
)
def test_a_broken_file_is_named(tmp_path: Path, content: str, line: int) -> None:
    """What is not a report is an error that names file and line."""
    file = tmp_path / "results.json"
    file.write_text(content)
    with pytest.raises(ConfigError) as error:
        read(file)
    assert (error.value.problems[0].file, error.value.problems[0].line) == (str(file), line)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 100000])
def test_a_hostile_file_is_named(tmp_path: Path, content: bytes) -> None:
    """Bytes that are no text and nesting without end are errors like any other."""
    file = tmp_path / "results.json"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="results"):
        read(file)


def test_places_that_cannot_be_written_or_read(tmp_path: Path) -> None:
    """A missing file is a usage error; that a file cannot be written is not: the command line is right."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed):
        write(make(), tmp_path / "file/results.json")
    with pytest.raises(UsageError):
        read(tmp_path / "missing.json")


def test_the_directory(tmp_path: Path) -> None:
    """RELMAN_DATA_DIR wins over the user's data directory."""
    assert directory({"RELMAN_DATA_DIR": str(tmp_path)}) == tmp_path / "results"
    assert directory({}).parts[-2:] == ("relman", "results")
