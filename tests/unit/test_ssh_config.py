"""What relman reads of ssh_config, and what it refuses there; `ssh -G` judges the rest in the contract tests."""

from __future__ import annotations

import getpass
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.config.ssh.file import split
from relman.config.ssh.host import SshConfig
from relman.model.errors import ConfigError


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            'Match exec "true"\n  User deploy',
            "it depends on Match exec, which relman cannot judge: write it under Host",
        ),
        ('Match host web1 exec "true"\n  IdentityFile /key', "it depends on Match exec"),
        ("Match localnetwork 10.0.0.0/8\n  ProxyJump bastion", "it depends on Match localnetwork"),
        ("Match tagged work\n  Include @/port", "it depends on Match tagged"),
        ('Match exec "true"\n  Include @/host', "it depends on Match exec"),
        ("Match canonical\n  Port 1\nMatch all\n  CanonicalizeHostname yes", "it depends on Match canonical"),
        ("User a;b\nProxyCommand ssh -W %h:%p %r@bastion", "%r is 'a;b', which is not passed to a shell"),
        ("HostName $(id)\nProxyCommand nc %h %p", "%h is '$(id)', which is not passed to a shell"),
        ("HostName -oProxyCommand=id\nProxyCommand nc %h %p", "which is not passed to a shell"),
        ("ProxyCommand nc %u %p", "%u is not supported here"),
        ("IdentityFile /%C", "%C is not supported here"),
        ("HostName %p", "%p is not supported here"),
        ("ProxyJump %u@bastion", "%u is not supported here"),
        ("IdentityFile ${RELMAN_NOT_SET}/key", "the variable RELMAN_NOT_SET of the environment is not set"),
        ("ConnectTimeout soon", "expected a time such as 10 or 1m30s, found 'soon'"),
        ("IdentitiesOnly maybe", "expected yes or no, found 'maybe'"),
        ("Port 0", "expected a port from 1 to 65535, found '0'"),
        ('User "deploy', "quotes closed"),
    ],
)
def test_what_cannot_be_followed_is_refused(tmp_path: Path, lines: str, message: str) -> None:
    """A line that relman reads and cannot follow as ssh would is refused by its place, for the hosts it concerns."""
    (tmp_path / "port").write_text("Port 2222\n")
    (tmp_path / "host").write_text("Host web*\n  Port 2222\n")
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, lines).route("web1")
    assert message in caught.value.problems[0].message


@pytest.mark.parametrize(
    "lines",
    [
        'Match host db1 exec "true"\n  User deploy',
        'Host db1\n  ProxyCommand nc %h %p\nMatch exec "true" host db1\n  Port 1',
        'Match exec "true"\n  Include @/host\n  ForwardAgent yes',
        "Match exec pattern=x localuser nobody-at-all\n  Port 1",
    ],
)
def test_what_concerns_another_host_refuses_nothing(tmp_path: Path, lines: str) -> None:
    """What cannot be judged is no matter where another criterion, or another Host, leaves the host out."""
    (tmp_path / "host").write_text("Host db*\n  Port 2222\n")
    assert config(tmp_path, lines).route("web1").endpoint.port == 22


def test_the_tokens_of_identity_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens and variables name the key files; user and port are those given outside the file, where they are."""
    monkeypatch.setenv("RELMAN_KEYS", str(tmp_path))
    full = socket.gethostname()
    names = ["web1", "10.0.0.1", "me", "23", full, full.partition(".")[0], "fleet", "a%", getpass.getuser() + "-u"]
    for name in names:
        (tmp_path / name).touch()
    tokens = ("%n", "%h", "%r", "%p", "%l", "%L", "%k", "a%%", "%u-u")
    files = "".join(f"IdentityFile ${{RELMAN_KEYS}}/{token}\n" for token in tokens)
    found = config(tmp_path, f"HostName 10.0.0.1\nPort 22\nUser you\nHostKeyAlias fleet\n{files}")
    keys = found.route("web1", port=23, user="me").endpoint.identity_files
    assert list(keys) == list(dict.fromkeys(str(tmp_path / name) for name in names))


def test_the_home_directory_of_paths(tmp_path: Path) -> None:
    """~ and %d are the user's home directory, in keys and in both kinds of known_hosts files."""
    for name in ("key", "key2", "known", "global"):
        (tmp_path / name).touch()
    lines = "IdentityFile ~/key\nIdentityFile %d/key2\nUserKnownHostsFile ~/known\nGlobalKnownHostsFile ~/global none\n"
    route = config(tmp_path, lines).route("web1")
    assert route.endpoint.identity_files == (str(tmp_path / "key"), str(tmp_path / "key2"))
    assert route.known_hosts == (str(tmp_path / "known"), str(tmp_path / "global"))


def test_the_tokens_of_jump_hosts(tmp_path: Path) -> None:
    """A jump host may be named after the host behind it, and has settings of its own."""
    lines = (
        "Host jump-web1\n  HostKeyAlias jumps\n  ConnectTimeout 2\nHost web1\n  ProxyJump %r@jump-%n:%p\n  Port 2222\n"
    )
    (jump,) = config(tmp_path, lines).route("web1", user="me").jumps
    assert (jump.user, jump.address, jump.port) == ("me", "jump-web1", 2222)
    assert (jump.host_key_alias, jump.connect_timeout) == ("jumps", 2.0)


@given(st.lists(st.text("ab# \t\"'\\=", max_size=6), max_size=5))
def test_words_in_quotes_are_read_back(words: list[str]) -> None:
    """Any words, quoted and escaped by OpenSSH's rules, are split into the same words."""
    quoted = ['"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words]
    assert split(" ".join([*quoted, "# a 'comment"])) == words


def config(directory: Path, lines: str) -> SshConfig:
    """The ssh_config of these lines, @ being its directory, which is the home directory, too."""
    file = directory / "config"
    file.write_text(lines.replace("@", str(directory)) if "@/" in lines else lines)
    return SshConfig(file, home=directory)


def test_an_agent_under_a_match_that_cannot_be_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked beside the one that holds without the Match, as password managers advise to configure it."""
    monkeypatch.setenv("SSH_AUTH_SOCK", "/forwarded")
    lines = 'Match host * exec "test -z $SSH_TTY"\n  IdentityAgent "~/.1password/agent.sock"'
    assert config(tmp_path, lines).route("web1").endpoint.agents == (
        f"{config(tmp_path, lines).home}/.1password/agent.sock",
        "/forwarded",
    )


def test_the_tokens_of_a_proxy_command(tmp_path: Path) -> None:
    """%h, %n, %p, %r and %% are filled, and what is the shell's stays; the error's place is kept."""
    lines = "Host web1\n  HostName fe80::1%%eth0\n  Port 2222\n  User me\n  ProxyCommand c %h %n %p %r 100%% $HOME ${X}"
    proxy = config(tmp_path, lines).route("web1").endpoint.proxy
    assert proxy
    assert proxy.command == "c fe80::1%eth0 web1 2222 me 100% $HOME ${X}"
    assert proxy.origin.endswith(":5")


def test_a_jump_host_behind_a_command(tmp_path: Path) -> None:
    """The first of the jumps is reached by its own command, and a later one through the one before."""
    lines = "Host web1\n  ProxyJump a,b\nHost a b\n  ProxyCommand nc %h 22"
    first, second = config(tmp_path, lines).route("web1").jumps
    assert first.proxy
    assert first.proxy.command == "nc a 22"
    assert second.proxy is None


def test_files_that_are_named_and_missing_are_no_reason_for_the_default_ones(tmp_path: Path) -> None:
    """As in ssh: IdentityFile, whatever it names, stands for the keys of the home directory."""
    (tmp_path / ".ssh").mkdir()
    for name in ("id_ed25519", "agents.pub"):
        (tmp_path / ".ssh" / name).touch()
    (tmp_path / "config").write_text("IdentityFile ~/.ssh/missing\nIdentityFile ~/.ssh/agents\n")
    assert SshConfig(tmp_path / "config", home=tmp_path).route("web1").endpoint.identity_files == (
        f"{tmp_path}/.ssh/agents",
    )
    (tmp_path / "config").write_text("")
    assert SshConfig(tmp_path / "config", home=tmp_path).route("web1").endpoint.identity_files == (
        f"{tmp_path}/.ssh/id_ed25519",
    )
