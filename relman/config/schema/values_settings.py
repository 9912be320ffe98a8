"""Parsers of the keys of one container, by the rules of the Compose Specification
(https://github.com/compose-spec/compose-spec/blob/main/05-services.md)."""

from __future__ import annotations

import posixpath
import re
import shlex
from ipaddress import ip_address

from relman.config.schema.values import absolute_path, matching, text, word
from relman.config.schema.values_names import NO_JOINING
from relman.config.suggestions import did_you_mean, kind_of, shown
from relman.model.container_settings import UNLIMITED, Device, Tmpfs
from relman.model.grants.permissions import NO_NEW_PRIVILEGES

_OWN_LABELS = "relman."
_USER = re.compile(r"[^\s:\x00-\x1f\x7f]+(?::[^\s:\x00-\x1f\x7f]+)?")
_GROUP = re.compile(r"[^\s:\x00-\x1f\x7f]+")
_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME = re.compile(rf"{_NAME}(?:\.{_NAME})*")
_SYSCTL = re.compile(
    r"(?:net|fs\.mqueue)\.[A-Za-z0-9_./-]+|kernel\.(?:msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)"
)
_PERMISSIONS = re.compile(r"(?=[rwm]{1,3}$)r?w?m?")
_DOMAIN = re.compile(rf"\.|{_NAME}(?:\.{_NAME})*\.?")
_LONGEST_HOST_NAME = 64  # HOST_NAME_MAX of Linux
_GATEWAY = "host-gateway"
_RESOURCES = (
    "core, cpu, data, fsize, locks, memlock, msgqueue, nice, nofile, nproc, rss, rtprio, rttime, sigpending, stack"
)
_ULIMITS = frozenset(_RESOURCES.split(", "))
_ROOT_S_POWERS = """audit_control audit_read audit_write block_suspend bpf checkpoint_restore chown dac_override
    dac_read_search fowner fsetid ipc_lock ipc_owner kill lease linux_immutable mac_admin mac_override mknod net_admin
    net_bind_service net_broadcast net_raw perfmon setfcap setgid setpcap setuid syslog sys_admin sys_boot sys_chroot
    sys_module sys_nice sys_pacct sys_ptrace sys_rawio sys_resource sys_time sys_tty_config wake_alarm all"""
_CAPABILITIES = frozenset(_ROOT_S_POWERS.split())


def label(name: str) -> str:
    """The name of a label."""
    if name.startswith(_OWN_LABELS):
        raise ValueError(f"{name}: labels that begin with {_OWN_LABELS} are relman's own")
    return word(name)


def words(value: object) -> tuple[str, ...]:
    """A list of words, which may be empty; or one text, quoted as in a shell."""
    try:
        return tuple(text(part) for part in value) if isinstance(value, list) else tuple(shlex.split(word(value)))
    except ValueError as error:
        raise ValueError(f"expected words in a list, or in one text as in a shell; found {shown(value)}") from error


def user(value: object) -> str:
    """A user, or USER:GROUP, each by name or number."""
    return matching(_USER, text(value), 'a user such as app, 1000 or "1000:1000"')


def group(value: object) -> str:
    """A group, by name or number."""
    return matching(_GROUP, text(value), "a group such as video or 44")


def directory(value: object) -> str:
    """An absolute path in the container."""
    return posixpath.normpath(absolute_path(value))


def host_name(value: object) -> str:
    """A host name (RFC 1123), of at most 64 characters."""
    found = matching(_HOST_NAME, text(value), "a host name: letters, digits, - and . between them")
    if len(found) > _LONGEST_HOST_NAME:
        raise ValueError(f"expected a host name of at most {_LONGEST_HOST_NAME} characters, found {shown(found)}")
    return found


def tmpfs(value: object) -> Tmpfs:
    """`PATH` or `PATH:OPTIONS`, as in `docker run --tmpfs`."""
    place, _, options = word(value).partition(":")
    if (target := directory(place)) == "/":
        raise ValueError(f"expected a path in the container that is not /, found {shown(place)}")
    return Tmpfs(target, options)


def ulimit_name(name: str) -> str:
    """The name of a limit of setrlimit(2)."""
    if name not in _ULIMITS:
        raise ValueError(f"unknown limit{did_you_mean(name, _ULIMITS) or f'; known are {_RESOURCES}'}")
    return name


def ulimit(value: object) -> tuple[int, int]:
    """Soft and hard limit: one number for both, or {soft: NUMBER, hard: NUMBER}; -1 is unlimited."""
    if isinstance(value, dict) and value.keys() == {"soft", "hard"}:
        soft, hard = _limit(value["soft"]), _limit(value["hard"])
    else:
        soft = hard = _limit(value)
    if hard != UNLIMITED and (soft == UNLIMITED or soft > hard):
        raise ValueError(f"the soft limit {soft} is above the hard limit {hard}")
    return soft, hard


def _limit(value: object) -> int:
    if not isinstance(value, bool) and isinstance(value, str | int) and re.fullmatch(r"-1|[0-9]{1,18}", str(value)):
        return int(value)
    found = kind_of(value)
    raise ValueError(f"expected a number (-1 for no limit), or {{soft: NUMBER, hard: NUMBER}}; found {found}")


def capability(value: object) -> str:
    """A capability (capabilities(7)) in any case, with or without CAP_, or ALL."""
    name = word(value).lower().removeprefix("cap_")
    if name not in _CAPABILITIES:
        near = did_you_mean(name, _CAPABILITIES) or "; capabilities(7) lists them"
        raise ValueError(f"unknown capability {shown(value)}{near}")
    return name.upper()


def security_opt(value: object) -> str:
    """An option of AppArmor, SELinux or seccomp, or no-new-privileges, as NAME=VALUE or NAME:VALUE."""
    name, _, setting = re.sub(r"^([^:=]*):", r"\1=", word(value)).partition("=")
    if name == NO_NEW_PRIVILEGES and setting in ("", "true", "false"):
        return f"{name}={setting or 'true'}"
    if name == "seccomp" and setting not in ("unconfined", "builtin"):
        raise ValueError(f"expected seccomp=unconfined or seccomp=builtin, found {shown(value)}: no profile is sent")
    if name in ("seccomp", "apparmor", "label") and setting:
        return f"{name}={setting}"
    raise ValueError(f"expected no-new-privileges, seccomp=, apparmor= or label= and a value, found {shown(value)}")


def sysctl(name: str) -> str:
    """A kernel parameter that containers have for themselves (namespaces(7))."""
    return matching(_SYSCTL, name, "a parameter of the container's own: net.*, fs.mqueue.*, kernel.shm*, msg*, sem")


def device(value: object) -> Device:
    """`SOURCE`, `SOURCE:TARGET` or `SOURCE:TARGET:PERMISSIONS`, as `docker run --device` takes it."""
    source, *rest = word(value).split(":")
    permissions = rest.pop() if rest and _PERMISSIONS.fullmatch(rest[-1]) else "rwm"
    target = rest.pop() if rest else source
    if rest or not source.startswith("/") or not target.startswith("/"):
        raise ValueError(f"expected a device such as /dev/ttyUSB0 or /dev/sda:/dev/xvda:r, found {shown(value)}")
    return Device(posixpath.normpath(source), posixpath.normpath(target), permissions)


def pid(value: object) -> str:
    """`host`."""
    if value != "host":
        raise ValueError(f"expected host, found {shown(value)}; {NO_JOINING}")
    return "host"


def extra_host(value: object) -> str:
    """`NAME:ADDRESS` or `NAME=ADDRESS`; host-gateway is the address of the host."""
    name, address = re.match(r"([^:=]*)[:=]?(.*)", word(value), re.DOTALL).groups()  # type: ignore[union-attr]
    if not address:
        raise ValueError(f"expected NAME:ADDRESS, found {shown(value)}")
    return f"{host_name(name)}:{_host_address(address)}"


def extra_hosts(value: object) -> object:
    """A mapping of names to addresses, or a list of them, as a list of NAME:ADDRESS."""
    if not isinstance(value, dict):
        return value
    pairs = [(name, each) for name, its in value.items() for each in (its if isinstance(its, list) else [its])]
    return [f"{host_name(name)}={text(address)}" for name, address in pairs]


def _host_address(value: str) -> str:
    return value if value == _GATEWAY else address(value)


def address(value: object) -> str:
    """An IP address."""
    try:
        return str(ip_address(word(value).removeprefix("[").removesuffix("]")))
    except ValueError:
        raise ValueError(f"expected an IP address, found {shown(value)}") from None


def domain(value: object) -> str:
    """A search domain; `.` for none."""
    return matching(_DOMAIN, text(value), "a domain such as example.com")
