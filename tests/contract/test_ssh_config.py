"""ssh_config in the shapes that people have: relman reaches a host as `ssh -G` says that ssh would."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from relman.config.ssh.host import SshConfig
from relman.model.host import Hop

# Name: an ssh_config in which @ is the directory of its files.
SHAPES: Mapping[str, str] = {
    "nothing": "",
    "a host": "Host web1\n  HostName 10.0.0.1\n  Port 2222\n  User deploy\n",
    "keywords in any case": "hOST web1\n  hostNAME 10.0.0.1\n  PORT 2222\n",
    "equals signs": "Host=web1\n  HostName=10.0.0.1\n  Port = 2222\n  User =deploy\n",
    "tabs and ends of lines": "Host\tweb1\r\n\tPort\t2222\r\n\n\tUser deploy  \n",
    "double quotes": 'Host "web1"\n  User "de ploy"\n  IdentityFile "@/my key"\n',
    "single quotes": "Host 'web1'\n  IdentityFile '@/my key'\n",
    "quotes within a word": 'Host w"eb"1\n  User de"pl"oy\n',
    "escapes": 'Host web1\n  User a\\"b\n  IdentityFile @/my\\ key\n',
    "a backslash that escapes nothing": "Host web1\n  User DOMAIN\\deploy\n",
    "a comment behind a value": "Host web1 # mine\n  Port 2222 # its port\n",
    "a number sign in a value": "Host web1\n  User de#ploy\n",
    "the first value wins": "Host web1\n  Port 2222\nHost *\n  Port 2200\n  User all\n",
    "defaults come first": "User first\nHost web1\n  User second\n  Port 2222\n",
    "a wildcard": "Host web*\n  Port 2222\nHost db*\n  Port 2200\n",
    "a question mark": "Host web?\n  Port 2222\n",
    "brackets are themselves": "Host web[1]\n  Port 2222\n",
    "a negation": "Host web* !web1\n  Port 2222\nHost * !db1\n  User deploy\n",
    "several patterns": "Host db1 web1\n  Port 2222\n",
    "Host tells case": "Host WEB1\n  Port 2222\n",
    "HostName in capitals": "Host web1\n  HostName Web1.Example.COM\n",
    "HostName of the alias": "Host web1\n  HostName %h.example.com\n",
    "HostName with a percent sign": "Host web1\n  HostName fe80::1%%eth0\n",
    "Match host": "Match host web1\n  Port 2222\n",
    "Match host looks at HostName": "Host web1\n  HostName 10.0.0.1\nMatch host 10.*\n  Port 2222\n",
    "Match host in any case": "Match host WEB1\n  Port 2222\n",
    "Match host with an equals sign": "Match host=web1\n  Port 2222\n",
    "Match originalhost": "Host web1\n  HostName 10.0.0.1\nMatch originalhost web1\n  Port 2222\n",
    "Match of a list": "Match host db1,web*,!web2\n  Port 2222\n",
    "Match negated": "Match !host db1\n  Port 2222\n",
    "Match user": "Host web1\n  User deploy\nMatch user deploy\n  Port 2222\n",
    "Match localuser": "Match localuser nobody-at-all\n  Port 2222\n",
    "Match all": "Host db1\n  Port 2200\nMatch all\n  Port 2222\n",
    "Match of two": "User me\nMatch host web1 user root\n  Port 2200\nMatch host web1 user me\n  Port 2222\n",
    "Match final": "Host web1\n  HostName 10.0.0.1\nMatch final all\n  Port 2222\n  IdentityFile @/key\n",
    "Match final and the address": "Host web1\n  HostName 10.0.0.1\nHost 10.*\n  Port 2222\nMatch final\n  User x\n",
    "Match not final": "Match !final host web1\n  Port 2222\nMatch final all\n  Port 2200\n",
    "Match final in an Include": "Host web1\n  User deploy\nInclude @/final\n",
    "Match canonical": "Match canonical\n  Port 2200\nMatch all\n  User deploy\n",
    "Match exec of nothing": 'Match host * exec "true"\nHost web1\n  Port 2222\n',
    "Match exec of what is not read": 'Match exec "test X=Y"\n  IdentityAgent @/agent\nHost web1\n  Port 2222\n',
    "Match exec of another host": 'Match host db1 exec "true"\n  Port 2200\nHost web1\n  Port 2222\n',
    "Match exec of what is decided": 'Host web1\n  Port 2222\nMatch exec "true"\n  Port 2200\n',
    "RHEL's": "Host web1\n  User deploy\nInclude @/redhat/*.conf\n",
    "Include": "Include @/included\nHost web1\n  Port 2200\n",
    "Include under a Host": "Host db1\n  Include @/included\nHost web1\n  User deploy\n",
    "Include ends with its file": "Host web1\n  Include @/other\n  Port 2222\n",
    "Include of nothing": "Include @/none-*\nHost web1\n  Port 2222\n",
    "identity files add up": "Host web1\n  IdentityFile @/key\nHost *\n  IdentityFile @/key2\n",
    "IdentitiesOnly": "Host web1\n  IdentityFile @/key\n  IdentitiesOnly yes\nHost *\n  IdentitiesOnly no\n",
    "IdentitiesOnly, said no": "IdentitiesOnly no\nHost *\n  IdentitiesOnly yes\n",
    "ConnectTimeout": "Host web1\n  ConnectTimeout 7\n",
    "ConnectTimeout with units": "Host web1\n  ConnectTimeout 1m30S\n",
    "ConnectTimeout none": "ConnectTimeout none\nHost *\n  ConnectTimeout 9\n",
    "HostKeyAlias": "Host web1\n  HostKeyAlias Fleet-Web\n",
    "known hosts": "Host web1\n  UserKnownHostsFile @/known @/known2\n  GlobalKnownHostsFile @/global\n",
    "known hosts by tokens": "HostName 10.0.0.1\nUserKnownHostsFile @/%n-%h-%p @/%k @/%r%%\nUser u\n",
    "known hosts by the local names": "Host web1\n  UserKnownHostsFile @/u-%u @/L-%L @/l-%l @/i-%i\n",
    "known hosts of an alias": "Host web1\n  HostKeyAlias fleet\n  UserKnownHostsFile @/%k\n",
    "known hosts by a variable": "Host web1\n  UserKnownHostsFile ${RELMAN_TEST_DIRECTORY}/known\n",
    "a jump host": "Host web1\n  ProxyJump ju@bastion:2201\n",
    "jump hosts": "Host web1\n  ProxyJump ju@bastion:2201,jv@inner:2202\n",
    "no jump host": "Host web1\n  ProxyJump none\nHost *\n  ProxyJump ju@bastion:2201\n",
    "ProxyCommand first": "Host web1\n  ProxyCommand nc bastion 22\nHost *\n  ProxyJump ju@bastion:2201\n",
    "ProxyJump first": "Host web1\n  ProxyJump ju@bastion:2201\nHost *\n  ProxyCommand nc bastion 22\n",
    "ProxyCommand as it is written": "ProxyCommand=sh -c \"nc 'a  b' 22\"  # here\n",
    "ProxyCommand of another host": "Host db1\n  ProxyCommand nc db1 22\n",
    "certificates add up": "Host web1\n  CertificateFile @/key\nHost *\n  CertificateFile @/key2\n",
    "no ProxyCommand": "Host web1\n  ProxyCommand none\nHost *\n  ProxyJump ju@bastion:2201\n",
}  # fmt: skip
FILES = {
    "key": "", "key2": "", "my key": "", "known": "", "known2": "", "global": "", "web1-10.0.0.1-22": "", "web1": "",
    "u%": "", "fleet": "", "included": "Port 2222\n", "other": "Host db1\n  User db\n",
    "final": "Match final all\n  Port 2222\n",
    "redhat/50-redhat.conf": "Match final all\n  Include @/policies\n  GSSAPIAuthentication yes\n  SendEnv LANG LC_*\n",
    "policies": "Ciphers aes256-gcm@openssh.com\nRequiredRSASize 2048\n",
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_a_host_is_reached_as_ssh_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: str) -> None:
    """Address, port, user, keys, jumps, time limit, the key's name and the files of known hosts are those of ssh."""
    monkeypatch.setenv("RELMAN_TEST_DIRECTORY", str(tmp_path))
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text.replace("@/", f"{tmp_path}/"))
    host = socket.gethostname()
    for name in (f"u-{getpass.getuser()}", f"L-{host.partition('.')[0]}", f"l-{host}", f"i-{os.getuid()}"):
        (tmp_path / name).touch()
    file = tmp_path / "config"
    file.write_text(SHAPES[shape].replace("@/", f"{tmp_path}/"), newline="")
    assert relman(file) == openssh(file)


def relman(file: Path) -> dict[str, object]:
    """The way to web1, as relman finds it; without keys and files that are no file of the test."""
    route = SshConfig(file).route("web1")
    hop = route.endpoint
    return {
        "hostname": hop.address,
        "port": str(hop.port),
        "user": hop.user,
        "identityfile": [path for path in hop.identity_files if path.startswith(str(file.parent))],
        "proxyjump": ",".join(map(written, route.jumps)),
        "proxycommand": hop.proxy.command if hop.proxy else "none",
        "certificatefile": list(hop.certificate_files),
        "knownhosts": list(route.known_hosts),
        "hostkeyalias": hop.host_key_alias,
        "connecttimeout": f"{hop.connect_timeout:g}" if hop.connect_timeout else "none",
        "identitiesonly": "yes" if hop.identities_only else "no",
    }


def written(hop: Hop) -> str:
    """The hop as ProxyJump has it."""
    return f"{hop.user}@{hop.address}:{hop.port}"


def openssh(file: Path) -> dict[str, object]:
    """The same by `ssh -G`."""
    said = subprocess.run(["ssh", "-T", "-G", "-F", str(file), "web1"], check=True, capture_output=True, text=True)
    pairs = [line.partition(" ")[::2] for line in said.stdout.splitlines()]
    values = dict(pairs)
    known = f"{values['userknownhostsfile']} {values['globalknownhostsfile']}".split()
    return {key: values.get(key, "") for key in ("hostname", "port", "user", "proxyjump", "hostkeyalias")} | {
        "connecttimeout": values["connecttimeout"],
        "identitiesonly": values["identitiesonly"],
        "proxycommand": values.get("proxycommand", "none"),
        "certificatefile": [path for key, path in pairs if key == "certificatefile"],
        "identityfile": [path for key, path in pairs if key == "identityfile" and path.startswith(str(file.parent))],
        "knownhosts": [path for path in known if path.startswith(str(file.parent)) and Path(path).is_file()],
    }
