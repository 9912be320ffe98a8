"""Read single values of relman.yml: each function takes what YAML gave and returns what the model wants.

All of them raise ValueError that says what was expected, in words for the one who wrote the file.
"""

from __future__ import annotations

import math
import posixpath
import re
import shlex
from collections.abc import Callable, Sequence
from ipaddress import ip_address

from relman.config.words import kind_of, shown
from relman.config.yaml import KeyPath, Tagged
from relman.model.errors import UsageError
from relman.model.image import Repository, check_tag
from relman.model.settings import Mount, Port

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "": 1}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h|d|)")
_SIZES = {"b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "": 1}
_SIZE = re.compile(r"([0-9]{1,15})([bkmg]?)", re.IGNORECASE)
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
ENGINE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SERVICE_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_DNS_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_IMAGE = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9._:/@\[\]-]*")
_PORT = re.compile(
    r"(?:(?:(?P<ip>\[[^\]]*\]|[^:\[\]]*):)?(?P<host>[0-9]{1,5}):)?(?P<container>[0-9]{1,5})(?:/(?P<kind>[A-Za-z]+))?"
)
_ADDRESS = re.compile(r"[A-Za-z0-9_:][A-Za-z0-9_.:%-]*")
_FIELD = re.compile(r"\{([^{}]*)\}")
_FIELDS = ("build", "job", "commit", "version")
_RESERVED = ("run-", "sha256-")


class Faults(ValueError):
    """Several faults below one value, each with the path from there."""

    def __init__(self, faults: Sequence[tuple[KeyPath, str]]) -> None:
        super().__init__(faults[0][1])
        self.faults = tuple(faults)


def text(value: object) -> str:
    """Text; a number or truth value is taken as written."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    advice = {type(None): 'write "" for an empty one', Tagged: "relman cannot read it"}
    raise ValueError(f"expected text, found {kind_of(value)}; {advice.get(type(value), 'put it in quotes')}")


def word(value: object) -> str:
    """Text that is not empty and in one line."""
    found = text(value)
    if not found or any(ord(c) < 32 or ord(c) == 127 for c in found):
        raise ValueError("expected text of one line that is not empty")
    return found


def env_name(value: str) -> str:
    """The name of an environment variable."""
    return matching(_ENV_NAME, value, "a variable's name: letters, digits and _, no digit first")


def service_name(value: object) -> str:
    """The name of a service."""
    return matching(_SERVICE_NAME, word(value), "a service's name: a-z, 0-9 and - _ . between them")


def alias(value: str) -> str:
    """The alias of a linked service."""
    return matching(_DNS_LABEL, value, "a host name's label: a-z, 0-9 and - between them, at most 63")


def network(value: object) -> str:
    """The name of a network."""
    return matching(ENGINE_NAME, text(value), "a network's name: letters, digits, _ . - and a letter or digit first")


def image(value: object) -> str:
    """A reference to an image."""
    return matching(_IMAGE, text(value), "an image, such as postgres:15 or REGISTRY/NAME:TAG")


def registry(value: object) -> str:
    """A registry's host[:port]."""
    return by_model(lambda: Repository(word(value), "name").registry)


def repository(value: object) -> str:
    """The path of a repository in its registry."""
    return by_model(lambda: Repository("localhost", word(value)).name)


def seconds(value: object) -> float:
    """A duration: a number of seconds, or with a unit ms, s, m, h, d."""
    found = _DURATION.fullmatch(str(value)) if isinstance(value, str | int | float) else None
    if not found or isinstance(value, bool):
        raise ValueError(f"expected a duration such as 10s, 2m or 0.5s, found {shown(value)}")
    return float(found[1]) * _UNITS[found[2]]


def positive_seconds(value: object) -> float:
    """A duration longer than nothing."""
    if not (found := seconds(value)):
        raise ValueError("expected a duration longer than 0")
    return found


def whole_seconds(value: object) -> int:
    """A duration in whole seconds."""
    if (found := seconds(value)) != int(found):
        raise ValueError(f"expected whole seconds, found {shown(value)}")
    return int(found)


def size(value: object) -> int:
    """A size in bytes, or with a unit b, k, m, g (of 1024); at least 6 MiB, as engines want it."""
    found = _SIZE.fullmatch(str(value)) if isinstance(value, str | int) else None
    if not found or isinstance(value, bool):
        raise ValueError(f"expected a size such as 256m or 1g, found {shown(value)}")
    if (number := int(found[1]) * _SIZES[found[2].lower()]) < 6 << 20:
        raise ValueError(f"expected at least 6m, found {shown(value)}")
    return number


def cpus(value: object) -> float:
    """A number of processors."""
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        number = 0.0
    if not number >= 0.01 or not math.isfinite(number):
        raise ValueError(f"expected a number of processors such as 0.5 or 2, found {shown(value)}")
    return number


def share(value: object) -> str:
    """A count of hosts, or a percentage of them."""
    found = re.fullmatch(r"([1-9][0-9]{0,5})(%?)", str(value)) if isinstance(value, str | int) else None
    if not found or (found[2] and int(found[1]) > 100):
        raise ValueError(f'expected a count of hosts such as 1, or a share such as "25%", found {shown(value)}')
    return found[0]


def batches(value: object) -> tuple[str, ...]:
    """A count or share of hosts, or a list of them."""
    if isinstance(value, list):
        return tuple(share(item) for item in value)
    return (share(value),)


def task_name(value: object) -> str:
    """The name of a task: it becomes part of a container's name."""
    return matching(_DNS_LABEL, word(value), "a task's name: a-z, 0-9 and - between them, at most 63")


def url(value: object) -> str:
    """An address that HTTP can ask."""
    found = word(value)
    if not re.fullmatch(r"https?://[!-~]+", found):
        raise ValueError(f"expected an address such as https://shop.example.com/health, found {shown(found)}")
    return found


def argv(value: object) -> tuple[str, ...]:
    """A command: a list of words, or one text that a shell runs."""
    if isinstance(value, str) and value.strip():
        return ("/bin/sh", "-c", value)
    if isinstance(value, list) and value:
        return tuple(text(part) for part in value)
    raise ValueError("expected a command: a list of words, or one text for /bin/sh -c")


def truth(value: object) -> bool:
    """`true` or `false`."""
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, found {shown(value)}")  # noqa: TRY004
    return value


def command_words(value: object) -> tuple[str, ...]:
    """A command that no shell reads: its words in one text, quoted as a shell wants them, or in a list."""
    try:
        words = tuple(text(part) for part in value) if isinstance(value, list) else tuple(shlex.split(word(value)))
    except ValueError as error:
        raise ValueError(f"expected a command such as sudo -n docker, found {shown(value)}") from error
    if not words or any("\0" in part or "\n" in part for part in words):
        raise ValueError(f"expected a command such as sudo -n docker, found {shown(value)}")
    return words


def true(value: object) -> bool:
    """`true`: the key stands for a choice."""
    if value is not True:
        raise ValueError("expected true; leave the key out otherwise")
    return True


def port_number(value: object) -> int:
    """A port, 1 to 65535."""
    if isinstance(value, str | int) and re.fullmatch(r"[0-9]{1,5}", str(value)) and 1 <= int(value) <= 65535:
        return int(value)
    raise ValueError(f"expected a port from 1 to 65535, found {shown(value)}")


def port(value: object) -> Port:
    """`CONTAINER`, `HOST:CONTAINER` or `IP:HOST:CONTAINER`, each with `/tcp`, `/udp` or `/sctp`; host 0 is any."""
    found = _PORT.fullmatch(str(value)) if isinstance(value, str | int) else None
    if not found or isinstance(value, bool):
        raise ValueError(f'expected a port such as "8080:80", "127.0.0.1:8080:80/tcp" or "80", found {shown(value)}')
    if (kind := (found["kind"] or "tcp").lower()) not in ("tcp", "udp", "sctp"):
        raise ValueError(f"expected /tcp, /udp or /sctp, found {shown('/' + kind)}")
    host = found["host"]
    return Port(
        container=port_number(found["container"]),
        protocol=kind,
        host_port=None if host is None else port_number(host) if int(host) else 0,
        host_ip=_ip(found["ip"] or ""),
    )


def mount(value: object) -> Mount:
    """`VOLUME:TARGET` or `/PATH:TARGET`, each with `:ro` or `:rw`."""
    parts = value.split(":") if isinstance(value, str) else []
    if len(parts) not in (2, 3) or (mode := parts[2] if len(parts) == 3 else "rw") not in ("ro", "rw"):
        raise ValueError(f'expected a volume such as "data:/data" or "/srv/data:/data:ro", found {shown(value)}')
    source, target = parts[0], posixpath.normpath(parts[1])
    if source.startswith((".", "~")) or ("/" in source and not source.startswith("/")):
        raise ValueError(f"a path of the host must be absolute, found {shown(source)}")
    if not source.startswith("/"):
        matching(ENGINE_NAME, source, "a volume's name: letters, digits, _ . - and a letter or digit first")
    if not parts[1].startswith("/") or target.strip("/") == "":
        raise ValueError(f"the path in the container must be absolute and not /, found {shown(parts[1])}")
    return Mount(posixpath.normpath(source) if source.startswith("/") else source, target, mode == "ro")


def absolute_path(value: object) -> str:
    """An absolute path on a host."""
    if not (found := word(value)).startswith("/"):
        raise ValueError(f"expected an absolute path, found {shown(found)}")
    return found


def address(value: object) -> str:
    """A host name or an IP address."""
    return matching(_ADDRESS, word(value), "a host name or an IP address")


def repository_reference(value: object) -> Repository:
    """REGISTRY/NAME."""
    try:
        return Repository.parse(word(value))
    except UsageError as error:
        raise ValueError(f"expected REGISTRY/NAME: {error.what}") from None


def path(value: object) -> str:
    """The path of an HTTP request."""
    found = text(value)
    if not re.fullmatch(r"/[!-~]*", found):
        raise ValueError(f"expected a path that starts with /, found {shown(found)}")
    return found


def tag_template(value: object) -> str:
    """A tag in which {build}, {job}, {commit} and {version} stand for the run's values."""
    found = word(value)
    sample = with_fields(found)
    if found.startswith(_RESERVED):
        raise ValueError(f"tags that start with {' or '.join(_RESERVED)} are relman's own")
    by_model(lambda: check_tag(sample))
    return found


def with_fields(template: str) -> str:
    """A template with every field filled in with `x`. Raises ValueError for an unknown field."""
    for name in _FIELD.findall(template):
        if name not in _FIELDS:
            raise ValueError(f"unknown field {{{name}}}: known are {', '.join(f'{{{f}}}' for f in _FIELDS)}")
    return _FIELD.sub("x", template)


def matching(pattern: re.Pattern[str], value: str, expected: str) -> str:
    """The value, if the pattern is that of the whole of it."""
    if not pattern.fullmatch(value):
        raise ValueError(f"expected {expected}; found {shown(value)}")
    return value


def by_model(check: Callable[[], str]) -> str:
    """What the model makes of a value."""
    try:
        return check()
    except UsageError as error:
        raise ValueError(error.what) from None


def _ip(value: str) -> str:
    try:
        return str(ip_address(value.strip("[]"))) if value else ""
    except ValueError:
        raise ValueError(f"expected an IP address before the ports, found {shown(value)}") from None
