"""Store test reports on this machine, by config digest, and read reports that were copied from another."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

from relman.local import whole_file
from relman.local.directories import data_directory
from relman.model.errors import ConfigError, Problem, RelmanError, StorageFailed, UsageError
from relman.model.image import ConfigDigest
from relman.model.run import RunName, TestReport


def directory(env: Mapping[str, str]) -> Path:
    """The directory of reports: below RELMAN_DATA_DIR, or else the user's data directory."""
    return data_directory(env) / "results"


def save(report: TestReport, directory: Path) -> Path:
    """Store the report, replacing an earlier one of the same image; returns the file. Raises StorageFailed."""
    file = directory / f"{report.config.hex}.json"
    write(report, file)
    return file


def load(config: ConfigDigest, directory: Path) -> TestReport:
    """The stored report of exactly this image. Raises UsageError if there is none, ConfigError if it is invalid."""
    file = directory / f"{config.hex}.json"
    if not file.is_file():
        hint = "Run `relman test` here first, or carry its results over with --results FILE."
        raise UsageError(f"no test results for image {config.short} in {directory}", hint=hint)
    report = read(file)
    if report.config != config:
        raise ConfigError([Problem(str(file), 1, 1, "config", f"expected {config}, found {report.config}")])
    return report


def of_run(run: RunName, directory: Path) -> list[TestReport]:
    """The stored reports of this run, one for each image, oldest first; of all services if `run` names none. Invalid
    files are skipped."""
    kept: list[TestReport] = []
    for file in directory.glob("*.json"):
        with contextlib.suppress(RelmanError):
            kept.append(read(file))
    wanted = [report for report in kept if run in (report.run, RunName(report.run.job, report.run.build))]
    return sorted(wanted, key=lambda report: report.finished)


def write(report: TestReport, file: Path) -> None:
    """Write the report to `file` atomically. Raises StorageFailed."""
    text = json.dumps(report.to_json(), indent=1, sort_keys=True) + "\n"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        whole_file.write(file, text)
    except OSError as error:
        raise StorageFailed(f"cannot write the test results to {file}: {error.strerror}") from error


def read(file: Path) -> TestReport:
    """Read a report. Raises UsageError if the file cannot be read, ConfigError if it is not a report."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        return TestReport.from_json(data)
    except OSError as error:
        raise UsageError(f"cannot read the test results in {file}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise ConfigError([Problem(str(file), error.lineno, error.colno, "", f"not JSON: {error.msg}")]) from error
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, RelmanError) as error:
        raise ConfigError([Problem(str(file), 1, 1, "", f"not test results: {error!r}")]) from error
