"""The values of ssh_config for one host: the first value of a key wins; identity files accumulate (ssh_config(5))."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from relman.config.ssh.file import Line
from relman.model.errors import ConfigError
from relman.model.host import ProxyCommand

_AGENT = "SSH_AUTH_SOCK"
_TYPED = re.compile(r"(?!-)[A-Za-z0-9_.:%+@-]+")
_UNIT = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass
class Found:
    """The lines that apply to `alias`.

    `kept` is the first line of each key, `added` all lines of accumulating keys; `proxy` is the first of ProxyJump and
    ProxyCommand; `doubtful_agents` are IdentityAgent lines that may apply. `given_user` and `given_port` come from
    elsewhere and take precedence.
    """

    alias: str
    local_user: str
    home: Path
    given_user: str | None = None
    given_port: int | None = None
    kept: dict[str, Line] = field(default_factory=dict)
    added: dict[str, list[Line]] = field(default_factory=dict)
    doubtful_agents: list[Line] = field(default_factory=list)
    proxy: Line | None = None

    def value(self, key: str) -> str | None:
        """The value of a key with one value, or None."""
        return self.kept[key].arguments[0] if key in self.kept else None

    @property
    def hostname(self) -> str:
        """The address: HostName or the alias, in lower case as in ssh."""
        line = self.kept.get("hostname")
        return (self._expanded(line, line.arguments[0], {"h": self.alias}) if line else self.alias).lower()

    @property
    def user(self) -> str:
        """The user to log in as."""
        return self.given_user or self.value("user") or self.local_user

    @property
    def port(self) -> int:
        """The port of its sshd. Raises ConfigError for an invalid one."""
        if self.given_port:
            return self.given_port
        text = self.value("port") or "22"
        if not re.fullmatch("[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
            raise self.refused(self.kept["port"], f"expected a port from 1 to 65535, found {text!r}")
        return int(text)

    @property
    def host_key_alias(self) -> str:
        """The name of its key in known_hosts; "" if that is its address."""
        return (self.value("hostkeyalias") or "").lower()

    @property
    def connect_timeout(self) -> float | None:
        """ConnectTimeout in seconds, in the TIME FORMATS of sshd_config(5); None for 0 and none. Raises ConfigError."""
        text = (self.value("connecttimeout") or "none").lower()
        if text == "none":
            return None
        parts = re.findall("([0-9]+)([smhdw]?)", text)
        if "".join(number + unit for number, unit in parts) != text:
            raise self.refused(self.kept["connecttimeout"], f"expected a time such as 10 or 1m30s, found {text!r}")
        return float(sum(int(number) * _UNIT[unit] for number, unit in parts)) or None

    @property
    def identities_only(self) -> bool:
        """Whether only the identity files may be offered. Raises ConfigError for an invalid value."""
        text = (self.value("identitiesonly") or "no").lower()
        if text not in ("yes", "true", "no", "false"):
            raise self.refused(self.kept["identitiesonly"], f"expected yes or no, found {text!r}")
        return text in ("yes", "true")

    def files(self, key: str) -> list[str]:
        """The files of all lines of an accumulating key, in order."""
        return [path for line in self.added.get(key, ()) for path in self._paths(line)]

    @property
    def agents(self) -> tuple[str, ...]:
        """The sockets of the agents to ask, in order, including those that only may apply: asking one more agent is
        harmless."""
        lines = [*self.doubtful_agents, self.kept.get("identityagent")]
        return tuple(dict.fromkeys(filter(None, map(self._agent, lines))))

    def _agent(self, line: Line | None) -> str:
        text = line.arguments[0] if line else _AGENT
        if not line or text == _AGENT:
            return os.environ.get(_AGENT, "")
        if text.startswith("$") and not text.startswith("${"):
            return os.environ.get(text[1:], "")
        return next(iter(self._paths(line)), "")

    @property
    def known_hosts(self) -> list[str]:
        """The files of UserKnownHostsFile and GlobalKnownHostsFile."""
        own, common = self.kept.get("userknownhostsfile"), self.kept.get("globalknownhostsfile")
        paths = [self._at_home(text) for text in common.arguments if text.lower() != "none"] if common else []
        return [*(self._paths(own) if own else []), *paths]

    @property
    def jumps(self) -> list[str]:
        """The hops of ProxyJump."""
        if not self.proxy or self.proxy.keyword != "proxyjump" or self.proxy.arguments[0].lower() == "none":
            return []
        text = self._expanded(self.proxy, "".join(self.proxy.arguments), self._tokens("hnpr"))
        return [hop.strip() for hop in text.split(",")]

    @property
    def proxy_command(self) -> ProxyCommand | None:
        """The command of ProxyCommand. Raises ConfigError for a token value that a shell could interpret.

        Token values may come from inventories, and the command is run by a shell.
        """
        line = self.proxy
        if not line or line.keyword != "proxycommand" or line.written.lower() == "none":
            return None
        tokens = self._tokens("hnpr")
        for name, value in tokens.items():
            if f"%{name}" in line.written.replace("%%", "") and not _TYPED.fullmatch(value):
                raise self.refused(line, f"%{name} is {value!r}, which is not passed to a shell")
        return ProxyCommand(self._expanded(line, line.written, tokens), f"{line.file}:{line.number}")

    def _tokens(self, which: str = "dhiklLnpru") -> dict[str, str]:
        """The values of these tokens (ssh_config(5), TOKENS)."""
        local = socket.gethostname()
        values = {
            "d": str(self.home),
            "h": self.hostname,
            "i": str(os.getuid()),
            "k": self.host_key_alias or self.alias,
            "l": local,
            "L": local.partition(".")[0],
            "n": self.alias,
            "p": str(self.port),
            "r": self.user,
            "u": self.local_user,
        }
        return {name: values[name] for name in which}

    def _paths(self, line: Line) -> list[str]:
        """The files of a line whose key accepts tokens and environment variables."""
        tokens = self._tokens()
        texts = (text for text in line.arguments if text.lower() != "none")
        return [self._at_home(self._expanded(line, text, tokens, os.environ)) for text in texts]

    def _at_home(self, text: str) -> str:
        return str(self.home / text[2:]) if text.startswith("~/") else text

    def _expanded(
        self, line: Line, text: str, tokens: Mapping[str, str], variables: Mapping[str, str] | None = None
    ) -> str:
        def one(match: re.Match[str]) -> str:
            if match[1] is not None:
                if (value := {**tokens, "%": "%"}.get(match[1])) is None:
                    raise self.refused(line, f"%{match[1]} is not supported here")
            elif variables is None:
                return match[0]
            elif (value := variables.get(match[2])) is None:
                raise self.refused(line, f"the variable {match[2]} of the environment is not set")
            return value

        return re.sub(r"%(.?)|\$\{([^}]*)\}", one, text)

    def refused(self, line: Line, message: str) -> ConfigError:
        """The error for a line that relman cannot apply to this host."""
        return ConfigError([line.problem(f"ssh to {self.alias}", message)])
