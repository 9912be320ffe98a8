"""The order of a library's release: first its files on the index, then the git tag; again, it goes on where it was."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from relman.ci.engine.api import Progress
from relman.ci.library.files import Package, read_package
from relman.ci.library.index import Index
from relman.ci.library.tag import GitTag
from relman.model.errors import Failure, PolicyRefused, UsageError
from relman.model.run import TestReport


def kept_package(directory: Path, make: Callable[[Path], None]) -> Package:
    """The package in `directory`, where the files of an earlier attempt are kept, so that a release that was
    interrupted goes on with the very same; else what `make` writes into a directory.

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
    """Put every file on the index, then push the tag; what is there already, and the same, is left.

    Another file of that name, or a tag on another commit, is PolicyRefused, and found before anything is uploaded; so
    is a remote that does not answer. Raises what Index and GitTag raise.
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
    """What the annotated tag says: the run, the tested image, and the hash of every file."""
    files = "".join(f"{digest}  {name}\n" for name, digest in package.hashes.items())
    return f"{package}\n\nReleased from run {report.run}, tested in image {report.config}.\nsha256:\n{files}"


def require_clean(report: TestReport) -> None:
    """Raise PolicyRefused unless the report is of one commit and nothing else, which the tag can name."""
    if not report.commit.revision:
        raise PolicyRefused(f"run {report.run} was built outside git: there is no commit to tag")
    if report.commit.dirty:
        raise PolicyRefused(
            f"run {report.run} was built from changes that are not in commit {report.commit.revision[:12]}",
            hint="Commit them, and build again: the tag must name what is released.",
        )
