"""Write a first relman.yml."""

from __future__ import annotations

from pathlib import Path

from relman.ci.scaffold import first_file, look
from relman.config.service import FILE_NAME, parse_service
from relman.model.errors import UsageError


def first_text(registry: str) -> str:
    """A valid relman.yml for the repository in the current directory. Raises UsageError if it has no Dockerfile."""
    text = first_file(look(Path()), registry)
    parse_service(text.encode(), FILE_NAME)
    return text


def write_first(text: str) -> None:
    """Write ./relman.yml. Raises UsageError if it exists or cannot be written."""
    try:
        with Path(FILE_NAME).open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        hint = "relman init never overwrites: `relman init --print` shows what it would write."
        raise UsageError(f"there is a {FILE_NAME} here already", hint=hint) from None
    except OSError as error:
        raise UsageError(f"cannot write {FILE_NAME}: {error.strerror}") from error
