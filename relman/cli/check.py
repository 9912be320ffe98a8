"""relman check: is everything written down correctly?"""

from __future__ import annotations

from relman.cli.options import file_option
from relman.cli.verb import Context, verb
from relman.model.errors import ConfigError


@verb("check")
@file_option
def check(context: Context, file: str) -> None:
    """Check relman.yml without touching anything.

    Every problem is shown at once, as FILE:LINE:COLUMN, with the key and what was expected there.
    """
    from relman.config.service import check_service, load_service

    if problems := check_service(file):
        raise ConfigError(problems)
    service = load_service(file)
    context.output.line(f"{file} is good: {service.name}, released to {service.repository}")
    context.output.json("check", {"file": file, "service": service.name, "repository": str(service.repository)})
