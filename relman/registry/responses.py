"""Errors for unexpected responses of a registry."""

from __future__ import annotations

from relman.model.errors import RegistryError
from relman.registry.http.messages import Answer

_TOO_LARGE = 413


def expect(answer: Answer, status: int, doing: str, host: str) -> None:
    """Raise RegistryError, with the registry's reasons, unless the response has this status."""
    if answer.status != status:
        hint = "The registry, or a proxy in front of it, takes no request of that size." * (answer.status == _TOO_LARGE)
        raise RegistryError(
            f"{doing}: the registry answered HTTP {answer.status}", host=host, hint=hint, details=answer.reasons
        )
