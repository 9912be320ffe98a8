"""Write a first relman.yml, and what belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from relman.ci.scaffold import first_file, look, look_at
from relman.config.compose.convert import Checkout, Converted, convert
from relman.config.compose.environment import is_secret
from relman.config.compose.model import ImageBuild
from relman.config.compose.read import read_project
from relman.config.kamal.read import is_kamal, read_kamal
from relman.config.service import FILE_NAME, parse_service
from relman.model.errors import UsageError

NOBODY = "registry.example.com"
"""The registry of one who names none."""


def first_text(registry: str) -> str:
    """A valid relman.yml for the repository here; NOBODY is no registry. Raises UsageError without a Dockerfile."""
    text = first_file(look(Path()), registry or NOBODY)
    parse_service(text.encode(), FILE_NAME)
    return text


def from_file(file: Path, registry: str, environ: Mapping[str, str]) -> Converted:
    """relman's files for a compose file in the current directory, with its variables from `environ` and .env, or for
    Kamal's anywhere below, whose registry counts where `registry` is "".

    Raises UsageError for a file elsewhere, or one that builds nothing; ConfigError for what compose or Kamal
    refuse, too.
    """
    if is_kamal(file) and Path().resolve() in file.resolve().parents:
        project = read_kamal(file, Path())
        own = project.placement.registry if project.placement else ""
        return convert(project, ".", registry or own or NOBODY, _checkout)
    if file.resolve().parent != Path().resolve():
        raise UsageError(
            f"{file} is not in this directory", hint="relman.yml stands beside it: change to its directory"
        )
    return convert(read_project(file, environ, is_secret), ".", registry or NOBODY, _checkout)


def _checkout(build: ImageBuild) -> Checkout:
    try:
        found = look_at(Path(build.context), build.dockerfile)
    except OSError:
        return Checkout()
    return Checkout(found.tests, found.healthcheck, swallows=bool(found.entrypoint))


def write_files(files: Mapping[str, str]) -> None:
    """Write the files of these paths and texts. Raises UsageError if one cannot be written or, having written none, if
    one exists."""
    if there := [name for name in files if Path(name).exists()]:
        hint = "relman init never overwrites: `--print` shows what it would write."
        raise UsageError(f"there is a {', a '.join(there)} here already", hint=hint)
    for name, text in files.items():
        try:
            Path(name).parent.mkdir(exist_ok=True)
            with Path(name).open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise UsageError(f"cannot write {name}: {error.strerror}") from error
