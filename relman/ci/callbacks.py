"""What the stages are given to tell how far they are, and to ask for logins with."""

from __future__ import annotations

from collections.abc import Callable

from relman.registry.auth import Credentials

Progress = Callable[[str], None]
CredentialsFor = Callable[[str], Credentials | None]
