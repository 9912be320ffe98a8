"""Publish a library: first its files on the index, then the git tag. A repeated run continues where it stopped."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from relman.ci.callbacks import Progress
from relman.ci.library.files import Package, read_package
from relman.ci.library.index import Index
from relman.ci.library.tag import GitTag
from relman.model.errors import Failure, PolicyRefused, UsageError
from relman.model.run import TestReport


def kept_package(directory: Path, make: Callable[[Path], None]) -> Package:
    """The package in `directory`, where an earlier attempt kept it, so that an interrupted release continues with the
    same files; otherwise the one that `make` writes into a directory.

    Raises BuildFailed, UsageError, and what `make` raises.
    """
    if directory.is_dir():
        return read_package(directory)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".making-") as name:
            made = Path(name) / "dist"
            made.mkdir()
            make(made)
            read_package(made)
            made.rename(directory)
    except OSError as error:
        raise UsageError(f"cannot keep the library's files in {directory}: {error.strerror}") from error
    return read_package(directory)


def publish(package: Package, index: Index, tag: GitTag, message: str, progress: Progress) -> None:
    """Upload every file, then push the tag; existing equal ones are kept.

    Another file of the same name, or a tag on another commit, is PolicyRefused and is found before anything is
    uploaded, and so is a remote that does not answer. Raises what Index and GitTag raise.
    """
    pushed = tag.is_pushed()
    missing = [file for file in package.files if not index.has(file)]
    for file in package.files:
        if file in missing:
            progress(f"uploading {file.name}")
            index.upload(file)
        else:
            progress(f"{file.name} is on {index.host} already")
    if pushed:
        progress(f"tag {tag.name} is pushed already")
        return
    try:
        tag.push(message)
    except Failure as error:
        raise type(error)(
            f"{package} is on {index.host}, but has no tag yet: {error.what}",
            hint="Run `relman promote` again with the same --run: it goes on from here.",
            details=error.details,
        ) from error
    progress(f"pushed tag {tag.name} to {tag.remote}")


def message_for(package: Package, report: TestReport) -> str:
    """The message of the annotated tag: the run, the tested image, and the hash of every file."""
    files = "".join(f"{digest}  {name}\n" for name, digest in package.hashes.items())
    return f"{package}\n\nReleased from run {report.run}, tested in image {report.config}.\nsha256:\n{files}"


def require_clean(report: TestReport) -> None:
    """Raise PolicyRefused unless the report is of a commit without uncommitted changes, which the tag can name."""
    if not report.commit.revision:
        raise PolicyRefused(f"run {report.run} was built outside git: there is no commit to tag")
    if report.commit.dirty:
        raise PolicyRefused(
            f"run {report.run} was built from changes that are not in commit {report.commit.revision[:12]}",
            hint="Commit them, and build again: the tag must name what is released.",
        )
