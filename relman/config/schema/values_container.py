"""Parsers of a container's ports, volumes, memory and processors in relman.yml."""

from __future__ import annotations

import math
import posixpath
import re
from dataclasses import replace
from ipaddress import ip_address

from relman.config.schema.values import matching
from relman.config.schema.values_names import ENGINE_NAME
from relman.config.suggestions import shown
from relman.model.settings import Mount, Port

_SIZES = {"b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "": 1}
_SIZE = re.compile(r"([0-9]{1,15})(b|[kmg]b?|)", re.IGNORECASE)
_MODES = {"ro": "mode", "rw": "mode", "z": "selinux", "Z": "selinux"}
_RESTARTS = ("no", "always", "unless-stopped", "on-failure")
_PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
_RANGE = r"[0-9]{1,5}(?:-[0-9]{1,5})?"
_PORT = re.compile(
    rf"(?:(?:(?P<ip>\[[^\]]*\]|[^:\[\]]*):)?(?P<host>{_RANGE}):)?(?P<container>{_RANGE})(?:/(?P<kind>[A-Za-z]+))?"
)
_MOST_PORTS = 1000  # of one entry: engines run a process or several rules of the firewall for each


def size(value: object) -> int:
    """A size in bytes, or with a unit b, k, m, g (powers of 1024; also kb, mb, gb); at least 1."""
    found = _SIZE.fullmatch(str(value)) if isinstance(value, str | int) else None
    number = int(found[1]) * _SIZES[found[2].lower()[:1]] if found and not isinstance(value, bool) else 0
    if not number:
        raise ValueError(f"expected a size such as 256m or 1g, found {shown(value)}")
    return number


def memory(value: object) -> int:
    """A size of at least 6 MiB, the minimum of Docker."""
    if (number := size(value)) < 6 << 20:
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


def port_number(value: object) -> int:
    """A port, 1 to 65535."""
    if isinstance(value, str | int) and re.fullmatch(r"[0-9]{1,5}", str(value)) and 1 <= int(value) <= 65535:
        return int(value)
    raise ValueError(f"expected a port from 1 to 65535, found {shown(value)}")


def ports(value: object) -> tuple[Port, ...]:
    """`CONTAINER`, `HOST:CONTAINER` or `IP:HOST:CONTAINER`, each with `/tcp`, `/udp` or `/sctp`, and ranges of ports
    (FIRST-LAST) as the Compose Specification has them; host 0 is any."""
    found = _PORT.fullmatch(str(value)) if isinstance(value, str | int) else None
    if not found or isinstance(value, bool):
        raise ValueError(f'expected a port such as "8080:80", "127.0.0.1:8080:80/tcp" or "80", found {shown(value)}')
    if (kind := (found["kind"] or "tcp").lower()) not in ("tcp", "udp", "sctp"):
        raise ValueError(f"expected /tcp, /udp or /sctp, found {shown('/' + kind)}")
    inside, ip = _range(found["container"]), _ip(found["ip"] or "")
    if found["host"] is None:
        return tuple(Port(number, kind) for number in inside)
    host = _range(found["host"]) if found["host"].strip("0") else range(1)
    if len(inside) == 1 < len(host):
        return (Port(inside[0], kind, host[0], ip, host_last=host[-1]),)
    if len(inside) != len(host):
        raise ValueError(f"expected as many ports of the host as of the container, found {shown(value)}")
    return tuple(Port(number, kind, outside, ip) for number, outside in zip(inside, host, strict=True))


def _range(text: str) -> range:
    first, _, last = text.partition("-")
    found = range(port_number(first), port_number(last or first) + 1)
    if not 0 < len(found) <= _MOST_PORTS:
        raise ValueError(f"expected FIRST-LAST, upwards and of at most {_MOST_PORTS} ports, found {shown(text)}")
    return found


def mount(value: object) -> Mount:
    """`VOLUME:TARGET` or `/PATH:TARGET`, each with options: `ro` or `rw`, `z` or `Z`, a path's propagation, a volume's
    `nocopy`."""
    parts = value.split(":") if isinstance(value, str) else []
    if len(parts) not in (2, 3):
        raise ValueError(f'expected a volume such as "data:/data" or "/srv/data:/data:ro", found {shown(value)}')
    source, target = parts[0], posixpath.normpath(parts[1])
    if source.startswith((".", "~")) or ("/" in source and not source.startswith("/")):
        raise ValueError(f"a path of the host must be absolute, found {shown(source)}")
    if not source.startswith("/"):
        matching(ENGINE_NAME, source, "a volume's name: letters, digits, _ . - and a letter or digit first")
    if not parts[1].startswith("/") or target.strip("/") == "":
        raise ValueError(f"the path in the container must be absolute and not /, found {shown(parts[1])}")
    made = Mount(posixpath.normpath(source) if source.startswith("/") else source, target)
    return _with_options(made, parts[2].split(",")) if len(parts) == 3 else made


def _with_options(mount: Mount, words: list[str]) -> Mount:
    kinds = {**_MODES, **(dict.fromkeys(_PROPAGATIONS, "propagation") if mount.is_bind else {"nocopy": "nocopy"})}
    if unknown := next((each for each in words if each not in kinds), None):
        raise ValueError(f"unknown option {shown(unknown)}; known are {', '.join(kinds)}")
    said = [kinds[each] for each in words]
    if twice := next((each for each in words if said.count(kinds[each]) > 1), None):
        others = ", ".join(each for each in words if kinds[each] == kinds[twice])
        raise ValueError(f"give one of the options {others}")
    given = {kinds[each]: each for each in words}
    return replace(
        mount,
        read_only=given.get("mode") == "ro",
        selinux=given.get("selinux", ""),
        propagation=given.get("propagation", ""),
        nocopy="nocopy" in given,
    )


def _ip(value: str) -> str:
    try:
        return str(ip_address(value.strip("[]"))) if value else ""
    except ValueError:
        raise ValueError(f"expected an IP address before the ports, found {shown(value)}") from None


def restart(value: object) -> str:
    """A restart policy, as `docker run --restart` takes it."""
    found = str(value)
    if found not in _RESTARTS and not re.fullmatch("on-failure:[1-9][0-9]{0,8}", found):
        raise ValueError(f"expected one of {', '.join(_RESTARTS)}, on-failure:TIMES; found {shown(value)}")
    return found
