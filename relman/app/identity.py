"""The name of the caller in records, journals and the history."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping

from relman.config.ci_systems import system_of


def who(environ: Mapping[str, str]) -> str:
    """The caller: `ACTOR via SYSTEM` in a CI job that names its actor, else USER@MACHINE."""
    system = system_of(environ)
    if actor := system.facts(environ).actor:
        return f"{actor} via {system.title or 'CI'}"
    return account()


def account() -> str:
    """The account of this process, as USER@MACHINE."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a uid without an entry in passwd, as in CI containers
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
