"""What a registry answered that it should not have, in an error's words."""

from __future__ import annotations

from relman.model.errors import RegistryError
from relman.registry.strictjson import load_object
from relman.registry.transport import Answer


def expect(answer: Answer, status: int, doing: str, host: str) -> None:
    """Raise RegistryError, with the registry's own reasons, for any other status."""
    if answer.status != status:
        raise RegistryError(f"{doing}: the registry answered HTTP {answer.status}", host=host, details=_reasons(answer))


def _reasons(answer: Answer) -> list[str]:
    try:
        errors = load_object(answer.body, limit=1 << 16).get("errors")
    except ValueError:
        return []
    if not isinstance(errors, list):
        return []
    texts = (f"{e.get('code', '')}: {e.get('message', '')}" for e in errors[:5] if isinstance(e, dict))
    return ["".join(c for c in text[:200] if c.isprintable()) for text in texts]
