"""Who is at work, as records, journals and the history name them."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping

from relman.config.ci_systems import system_of


def who(environ: Mapping[str, str]) -> str:
    """Who is at work: `ACTOR via SYSTEM` in a CI job that says who asked for it, else USER@MACHINE."""
    system = system_of(environ)
    if actor := system.facts(environ).actor:
        return f"{actor} via {system.title or 'CI'}"
    return account()


def account() -> str:
    """The account that this process runs in, as USER@MACHINE."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a number without an entry in passwd, as CI containers have it
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
