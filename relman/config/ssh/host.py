"""The route to a host by the user's ssh_config (ssh_config(5), https://man.openbsd.org/ssh_config).

Supported keys: HostName, Port, User, IdentityFile, IdentitiesOnly, IdentityAgent, CertificateFile, ProxyJump,
ProxyCommand, ConnectTimeout, HostKeyAlias, UserKnownHostsFile and GlobalKnownHostsFile, in Host, Match and Include. A
supported key that relman cannot evaluate as OpenSSH would (under Match exec, for example) is an error for the hosts it
may apply to. All other keys are ignored. Host keys are always checked, whatever StrictHostKeyChecking is.
"""

from __future__ import annotations

import getpass
import re
from dataclasses import dataclass, replace
from pathlib import Path

from relman.config.ssh.file import Line, read_lines
from relman.config.ssh.found import Found
from relman.config.ssh.lookup import lookup
from relman.model.host import Hop

_JUMP = re.compile(
    r"(?:ssh://)?(?:(?P<user>[^@/]+)@)?(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\s@:/\[\]]+)(?::(?P<port>[0-9]{1,5}))?/?"
)
_DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")


@dataclass(frozen=True)
class Route:
    """The route to a host: its endpoint, the jump hosts (outermost first), and additional known_hosts files."""

    endpoint: Hop
    jumps: tuple[Hop, ...] = ()
    known_hosts: tuple[str, ...] = ()


class SshConfig:
    """The user's ssh_config: only `path`, or else ~/.ssh/config and /etc/ssh/ssh_config, if they exist."""

    def __init__(self, path: Path | str | None = None, *, home: Path | None = None) -> None:
        """Read the files. Raises UsageError if `path` cannot be read, ConfigError for malformed lines."""
        self.home = home or Path.home()
        defaults = [self.home / ".ssh/config", Path("/etc/ssh/ssh_config")]
        files = [Path(path)] if path else [f for f in defaults if f.is_file()]
        self.lines: tuple[Line, ...] = tuple(line for file in files for line in read_lines(file, self.home))

    def route(
        self, alias: str, *, port: int | None = None, user: str | None = None, identity: str | None = None
    ) -> Route:
        """The route to `alias`; arguments take precedence over the files. Raises ConfigError."""
        return self._route(alias, port, user, identity, ())

    def _route(
        self, alias: str, port: int | None, user: str | None, identity: str | None, seen: tuple[str, ...]
    ) -> Route:
        found = lookup(self.lines, Found(alias, getpass.getuser(), self.home, user, port))
        jumps: list[Hop] = []
        known = found.known_hosts
        for i, text in enumerate(found.jumps):
            way = self._jump(text, found, (*seen, alias))
            # Like ssh -J: later hops are reached through the previous one, whatever their own proxy is.
            jumps += [*way.jumps, way.endpoint] if i == 0 else [replace(way.endpoint, proxy=None)]
            known += way.known_hosts
        given = [str(Path(identity).expanduser())] if identity else []
        named = given or "identityfile" in found.added
        keys = found.files("identityfile") if named else self._default_keys()
        endpoint = Hop(
            address=found.hostname,
            port=found.port,
            user=found.user,
            identity_files=tuple(dict.fromkeys([*given, *filter(_is_there, keys)])),
            host_key_alias=found.host_key_alias,
            connect_timeout=found.connect_timeout,
            identities_only=found.identities_only,
            certificate_files=tuple(dict.fromkeys(found.files("certificatefile"))),
            agents=found.agents,
            proxy=found.proxy_command,
        )
        return Route(endpoint, tuple(jumps), tuple(dict.fromkeys(f for f in known if Path(f).is_file())))

    def _jump(self, text: str, found: Found, seen: tuple[str, ...]) -> Route:
        """The route to one hop of a ProxyJump."""
        assert found.proxy  # noqa: S101  # it is where `text` comes from
        hop = _JUMP.fullmatch(text)
        if not hop or not 1 <= int(hop["port"] or 22) <= 65535:
            raise found.refused(found.proxy, f"{text!r} is not a jump host: write [user@]host[:port]")
        name = hop["host"].strip("[]")
        if name in seen:
            raise found.refused(found.proxy, f"ProxyJump is circular: {' -> '.join((*seen, name))}")
        return self._route(name, int(hop["port"]) if hop["port"] else None, hop["user"], None, seen)

    def _default_keys(self) -> list[str]:
        return [str(self.home / ".ssh" / name) for name in _DEFAULT_KEYS]


def _is_there(key: str) -> bool:
    """Whether the key file exists, or the public half of a key that an agent may hold."""
    return Path(key).is_file() or Path(f"{key}.pub").is_file()
