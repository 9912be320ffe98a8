"""The JSON form of records and locks, and its versions.

A writer states the lowest version that contains every key it uses, so that older relmans can read as much as possible.
Keys that version 1 lacks are omitted while they have their defaults. Readers refuse unknown keys and versions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from relman.model.formats.untrusted_json import Misread, Newer
from relman.model.image import Digest, Repository

VERSION = 2
"""The newest version that this relman reads, and writes if necessary."""


def _keys(**table: str) -> Mapping[str, frozenset[str]]:
    return {name: frozenset(keys.split()) for name, keys in table.items()}


VERSION_1_KEYS = _keys(
    HostRecord="service environment entries current left_out",
    Absence="host release manifest by at reason",
    Deployed="id release repository manifest config image_id kept_as settings container at by commit proven verified"
    " skipped",
    Lock="owner machine pid token deployment message ttl phase intent since",
    Intent="old old_restart new_name entry stop_first reused rollback",
    Phase="held changing returning removing",
    DeploySettings="ports env volumes networks command health restart stop_timeout resources order singleton"
    " max_unavailable on_failure keep strategy max_failures tasks hooks",
    Port="container protocol host_port host_ip",
    Mount="source target read_only",
    Health="probe port path window timeout interval",
    Probe="http tcp image none",
    Resources="memory cpus pids",
    Order="auto start-first stop-first",
    OnFailure="rollback halt continue",
    Strategy="kind batches pause hosts count bake check",
    StrategyKind="rolling canary all-at-once",
    Check="url command timeout",
    Task="name command when once timeout rollback_safe",
    Hook="command when timeout",
    When="before after failed",
)
"""The fields of each class and the values of each enum in version 1. Never changed."""

VERSION_2_KEYS = _keys(
    DeploySettings="healthcheck container aliases secrets files proxy pre_stop processes",
    Process="name replicas run max_hosts",
    RunSettings="ports env volumes networks command health restart stop_timeout resources order singleton healthcheck"
    " container aliases secrets files proxy pre_stop",
    Deployed="secrets units hosts files route",
    Unit="process replica name container",
    Intent="several",
    Several="old stop_first reused",
    OldContainer="container process restart stop_timeout",
    StrategyKind="blue-green",
    Health="host headers command",
    Healthcheck="off command interval timeout start_period retries",
    Probe="command",
    ContainerSettings="labels entrypoint user working_dir hostname init tty read_only tmpfs shm_size ulimits cap_drop"
    " extra_hosts dns dns_search dns_opt logging privileged cap_add security_opt sysctls devices group_add pid",
    Port="host_last",
    Device="source target permissions",
    Mount="selinux propagation nocopy",
    Tmpfs="target options",
    Ulimit="name soft hard",
    Logging="driver options",
    SecretRef="name file env",
    DeployFile="name target digest",
    SecretSet="directory salt hashes",
    PreStop="port path command wait",
    Check="proxy",
    ProxyCheck="errors_below p99_below minimum_requests",
    ProxySettings="port protocol https response_timeout drain_timeout hold",
    ServiceRoute="hosts path strip_prefix listen options",
    Protocol="http h2c tcp",
    Https="redirect only off",
)
"""The additions of version 2. Frozen by the first release that writes them; later additions need version 3."""


_RESTARTS = frozenset(("", "no", "always", "unless-stopped", "on-failure"))
VERSION_1_TEXTS: Mapping[str, frozenset[str]] = {"restart": _RESTARTS, "old_restart": _RESTARTS}
"""All that version 1 knows to be said in these fields, which are texts."""


def plain(value: Any) -> Any:
    """The JSON form of a value, read back by `relman.model.formats.untrusted_json.read`."""
    if isinstance(value, Digest | Repository):
        return str(value)
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value) if _said(value, f)}
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def version_of(value: Any) -> int:
    """The version that a document with `value` has to state."""
    return 2 if _is_later(value) else 1


def unversioned(data: Any) -> Mapping[str, Any]:
    """The document without its version. Raises Newer if this relman cannot read that version, Misread if it has
    none."""
    if not isinstance(data, Mapping):
        raise Misread("", "expected an object")
    version = data.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise Misread("version", f"expected a number from 1 to {VERSION}")
    if version > VERSION:
        raise Newer("", "it was written by a newer relman")
    return {key: value for key, value in data.items() if key != "version"}


def _is_later(value: Any) -> bool:
    if isinstance(value, StrEnum):
        return value not in VERSION_1_KEYS.get(type(value).__name__, ())
    if dataclasses.is_dataclass(value) and not isinstance(value, Digest | Repository):
        said = [f for f in dataclasses.fields(value) if _said(value, f)]
        return any(_is_new(value, f) or _is_later_text(value, f) or _is_later(getattr(value, f.name)) for f in said)
    if isinstance(value, Mapping):
        return any(map(_is_later, value.values()))
    return isinstance(value, tuple) and any(map(_is_later, value))


def _is_later_text(value: Any, field: dataclasses.Field[Any]) -> bool:
    known = VERSION_1_TEXTS.get(field.name)
    return known is not None and getattr(value, field.name) not in known


def _is_new(value: Any, field: dataclasses.Field[Any]) -> bool:
    return field.name not in VERSION_1_KEYS.get(type(value).__name__, ())


def _said(value: Any, field: dataclasses.Field[Any]) -> bool:
    """Whether the field is written: always if version 1 has it, else if it differs from its default."""
    if not _is_new(value, field):
        return True
    made = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
    return bool(getattr(value, field.name) != made)
