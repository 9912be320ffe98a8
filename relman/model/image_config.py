"""What an image's configuration declares (OCI image-spec, config.md; labels: annotations.md), whoever holds it: a
registry or an engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

REVISION, SOURCE, CREATED, VERSION = (
    f"org.opencontainers.image.{name}" for name in ("revision", "source", "created", "version")
)
BASE_NAME, BASE_DIGEST = (f"org.opencontainers.image.base.{name}" for name in ("name", "digest"))
_PORTS = range(1, 1 << 16)


def declares_healthcheck(test: Sequence[str]) -> bool:
    """Whether `Healthcheck.Test` asks anything: an empty one inherits, and an image inherits from nobody."""
    return bool(test) and test[0] not in ("NONE", "")


def exposed_ports(exposed: Iterable[str]) -> tuple[tuple[int, str], ...]:
    """The ports of `ExposedPorts`, lowest first; what names none is passed over. Raises ValueError for a number that
    is no port."""
    pairs = (text.partition("/") for text in exposed)
    return tuple(sorted((_port(port), protocol or "tcp") for port, _, protocol in pairs if port.isdecimal()))


def _port(text: str) -> int:
    number = int(text[:6])
    if number not in _PORTS:
        raise ValueError(f"{text[:20]!r} in it is not a port")
    return number


def variables(items: Iterable[str]) -> dict[str, str]:
    """The `NAME=value` list of `Env`; a name without a value sets nothing."""
    return {name: value for name, found, value in (item.partition("=") for item in items) if found}
