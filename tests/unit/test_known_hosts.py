"""known_hosts as ssh(1) reads it: which keys are a host's, and what is said of the others."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paramiko.common import AUTH_SUCCESSFUL

from relman.hosts.ssh.keys.known_hosts import ChangedKey, KnownHosts, RevokedKey, UnknownKey
from relman.hosts.ssh.refusals import explained
from relman.model.errors import HostKeyRejected
from relman.model.formats.patterns import listed
from relman.model.host import Hop


def ed25519(number: int) -> bytes:
    """The public half of some key, as it goes over the wire."""
    kind = b"ssh-ed25519"
    return len(kind).to_bytes(4, "big") + kind + (32).to_bytes(4, "big") + bytes([number]) * 32


def text(key: bytes) -> str:
    """The key as a line has it."""
    kind = key[4 : 4 + int.from_bytes(key[:4], "big")].decode()
    return f"{kind} {base64.b64encode(key).decode()}"


def hashed(name: str) -> str:
    """The name as HashKnownHosts writes it."""
    salt = b"12345678901234567890"
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


KEY, OTHER = ed25519(1), ed25519(2)
RSA = b"\0\0\0\x07ssh-rsa\0\0\0\x03\1\0\1\0\0\0\x01\x11"
GOOD, BAD, STALE = text(KEY), text(OTHER), text(RSA)

WEB, PORT = Hop("web1"), Hop("web1", 2222)
ALIAS = Hop("web1", 2222, host_key_alias="Fleet")


@pytest.mark.parametrize(
    ("lines", "hop"),
    [
        (f"web1 {GOOD}", WEB),
        (f"  web1\t{GOOD} a comment of words", WEB),
        (f"WEB1 {GOOD}", Hop("wEb1")),
        (f"10.77.22.* {GOOD}", Hop("10.77.22.1")),
        (f"web? {GOOD}", WEB),
        (f"* {GOOD}", WEB),
        (f"* {GOOD}", PORT),
        (f"!web2,web* {GOOD}", WEB),
        (f"db1,web1,10.0.0.1 {GOOD}", WEB),
        (f"{hashed('web1')} {GOOD}", WEB),
        (f"{hashed('[web1]:2222')} {GOOD}", PORT),
        (f"[web1]:2222 {GOOD}", PORT),
        (f"[web*]:2222 {GOOD}", PORT),
        (f"[*]:22?2 {GOOD}", PORT),
        (f"[fe80::1]:2222 {GOOD}", Hop("fe80::1", 2222)),
        (f"fe80::1 {GOOD}", Hop("FE80::1")),
        (f"web1 {GOOD}", PORT),
        (f"{hashed('web1')} {GOOD}", PORT),
        (f"web1 {BAD}\nweb1 {GOOD}", WEB),
        (f"web1 {GOOD}\nweb1 {BAD}", WEB),
        (f"web1 {STALE}\nweb1 {GOOD}", WEB),
        (f"web1 {BAD}\n[web1]:2222 {GOOD}", PORT),
        (f"fleet {GOOD}\nweb1 {BAD}\n[web1]:2222 {BAD}", ALIAS),
        (f"@cert-authority web1 {BAD}\nweb1 {GOOD}", WEB),
        (f"@revoked web1 {BAD}\nweb1 {GOOD}", WEB),
        (f"# web1 {BAD}\n\nweb1 {GOOD}\r\n", WEB),
    ],
)
def test_a_key_that_is_known(tmp_path: Path, lines: str, hop: Hop) -> None:
    """Any line about the host that has its key is enough, whatever else the file says."""
    known(tmp_path, lines).check(hop, "ssh-ed25519", KEY)


@pytest.mark.parametrize(
    ("lines", "hop", "error"),
    [
        ("", WEB, UnknownKey),
        (f"web2 {GOOD}", WEB, UnknownKey),
        (f"web?? {GOOD}", WEB, UnknownKey),
        (f"web[12] {GOOD}", WEB, UnknownKey),
        (f"web1,!web1 {GOOD}", WEB, UnknownKey),
        (f"!web1,* {GOOD}", WEB, UnknownKey),
        (f"!web2 {GOOD}", WEB, UnknownKey),
        (f"[web1]:2222 {GOOD}", WEB, UnknownKey),
        (f"[web1]:2223 {GOOD}", PORT, UnknownKey),
        (f"web1 {BAD}", PORT, UnknownKey),
        (f"[web1]:2222 {BAD}\nweb1 {GOOD}", PORT, ChangedKey),
        (f"[web1]:2222 {STALE}\nweb1 {GOOD}", PORT, ChangedKey),
        (f"web1 {BAD}", WEB, ChangedKey),
        (f"web1 {STALE}", WEB, ChangedKey),
        (f"{hashed('web2')} {GOOD}", WEB, UnknownKey),
        (f"{hashed('web1')},web1 {GOOD}", WEB, UnknownKey),
        (f"|2|{hashed('web1')[3:]} {GOOD}", WEB, UnknownKey),
        (f"@cert-authority web1 {GOOD}", WEB, UnknownKey),
        (f"@revoked web1 {GOOD}\nweb1 {GOOD}", WEB, RevokedKey),
        (f"web1 {GOOD}\n@revoked * {GOOD}", WEB, RevokedKey),
        (f"@revoked web1 {GOOD}", WEB, RevokedKey),
        (f"web1 {GOOD}\n@revoked web1 {GOOD}", PORT, RevokedKey),
        (f"@trusted web1 {GOOD}", WEB, UnknownKey),
        (f"web1 {GOOD}\n[web1]:2222 {GOOD}", ALIAS, UnknownKey),
        (f"fleet {BAD}\nweb1 {GOOD}", ALIAS, ChangedKey),
        (f"web1 ssh-rsa {GOOD.split()[1]}", WEB, UnknownKey),
        (f"web1 {GOOD[:-8]}", WEB, UnknownKey),
        (f"web1 {GOOD.split()[1]}", WEB, UnknownKey),
    ],
)
def test_a_key_that_is_not_to_be_trusted(tmp_path: Path, lines: str, hop: Hop, error: type[Exception]) -> None:
    """A key that no line about the host has is unknown, or changed where lines have others; revoked is said first."""
    with pytest.raises(error):
        known(tmp_path, lines).check(hop, "ssh-ed25519", KEY)


@pytest.mark.parametrize(
    ("lines", "hop", "message", "hint"),
    [
        ("", WEB, "the host key of web1 is not known (ssh-ed25519 SHA256:", "ssh-keyscan -p 22 web1 >> {file}"),
        ("", PORT, "the host key of [web1]:2222 is not known", "then: ssh-keyscan -p 2222 web1 >> {file}"),
        ("", ALIAS, "the host key of fleet is not known", "add it to {file} as fleet"),
        (f"web1 {BAD}", WEB, "is not the known one: it shows ssh-ed25519 SHA256:", "then correct {raw}"),
        (f"@revoked * {GOOD}", WEB, "the host key of web1 is revoked (ssh-ed25519 SHA256:", "a new one"),
    ],
)
def test_what_is_said_of_a_bad_key(tmp_path: Path, lines: str, hop: Hop, message: str, hint: str) -> None:
    """The error names the host as known_hosts does and the key's fingerprint, and gives what to type next."""
    read = known(tmp_path, lines)
    with pytest.raises(HostKeyRejected) as caught, explained(hop, read, 5):
        read.check(hop, "ssh-ed25519", KEY)
    assert message in str(caught.value)
    raw = str(tmp_path / "known hosts")
    assert hint.format(file=f"'{raw}'" if "keyscan" in hint else raw, raw=raw) in caught.value.hint


def test_a_file_in_the_home_directory_is_typed_so_that_a_shell_finds_it() -> None:
    """Without any file the hint names the user's, and its ~ is not quoted away."""
    read = KnownHosts([])
    with pytest.raises(HostKeyRejected) as caught, explained(WEB, read, 5):
        read.check(WEB, "ssh-ed25519", KEY)
    assert caught.value.hint.endswith("ssh-keyscan -p 22 web1 >> ~/.ssh/known_hosts")


def test_a_key_behind_a_jump_host_is_asked_for_there() -> None:
    """Where only the jump host reaches the host, ssh-keyscan is to be run on it."""
    read = KnownHosts([])
    with pytest.raises(HostKeyRejected) as caught, explained(PORT, read, 5, Hop("bastion", 23, "me")):
        read.check(PORT, "ssh-ed25519", KEY)
    assert "ssh -p 23 me@bastion ssh-keyscan -p 2222 web1 >> ~/.ssh/known_hosts" in caught.value.hint


RSA_KEY = paramiko.RSAKey.generate(2048)
ECDSA_KEY = paramiko.ECDSAKey.generate()


@pytest.mark.parametrize("kinds", [("ssh-rsa",), ("ecdsa-sha2-nistp256",), ("ssh-rsa", "stale ssh-ed25519")])
def test_a_server_is_asked_for_a_key_that_is_known(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    """Of a server's keys of several types the one is negotiated whose type the files have, also beside an old key of
    a type that it no longer has."""
    lines = {
        "ssh-rsa": f"web1 {text(RSA_KEY.asbytes())}",
        "ecdsa-sha2-nistp256": f"web? {text(ECDSA_KEY.asbytes())}",
        "stale ssh-ed25519": f"web1 {BAD}",
    }
    assert negotiated(known(tmp_path, "\n".join(lines[kind] for kind in kinds))) == kinds[0]


def test_a_server_whose_key_nobody_knows_is_not_signed_in_to(tmp_path: Path) -> None:
    """A real handshake ends with the unknown key, before anything of the user's is sent."""
    with pytest.raises(UnknownKey):
        negotiated(known(tmp_path, f"web2 {text(RSA_KEY.asbytes())}"))


def negotiated(read: KnownHosts) -> str:
    """The type of the host key with which a client that `read` guards reaches a server of two keys."""
    with server() as sock:
        client = paramiko.SSHClient()
        factory = read.guard(client, WEB)
        try:
            with contextlib.suppress(paramiko.AuthenticationException):
                client.connect("web1", username="u", password="p", sock=sock, transport_factory=factory,
                               allow_agent=False, look_for_keys=False, timeout=10)  # fmt: skip
            transport = client.get_transport()
            assert transport
            return transport.get_remote_server_key().get_name()
        finally:
            client.close()


@contextlib.contextmanager
def server() -> Iterator[socket.socket]:
    """A server with an RSA and an ECDSA key, which lets anybody in."""
    ours, theirs = socket.socketpair()
    transport = paramiko.Transport(theirs)
    for key in (RSA_KEY, ECDSA_KEY):
        transport.add_server_key(key)
    begun = threading.Event()
    transport.start_server(begun, _Anybody())
    try:
        yield ours
    finally:
        transport.close()
        ours.close()


class _Anybody(paramiko.ServerInterface):
    def check_auth_password(self, _username: str, _password: str) -> int:
        return int(AUTH_SUCCESSFUL)


def known(directory: Path, lines: str) -> KnownHosts:
    """What a file of these lines says."""
    file = directory / "known hosts"
    file.write_bytes(lines.encode())
    return KnownHosts([str(file)])


def matches(subject: str, pattern: str) -> bool:
    """match_pattern of OpenSSH, by its words: * is any number of characters, ? is one, all else is itself."""
    if not pattern:
        return not subject
    if pattern[0] == "*":
        return any(matches(subject[i:], pattern[1:]) for i in range(len(subject) + 1))
    return bool(subject) and pattern[0] in ("?", subject[0]) and matches(subject[1:], pattern[1:])


def matches_list(subject: str, patterns: list[str]) -> bool:
    """match_pattern_list: a negated match decides against, wherever it stands; else any match decides for."""
    if any(matches(subject, p[1:]) for p in patterns if p.startswith("!")):
        return False
    return any(matches(subject, p) for p in patterns if not p.startswith("!"))


@given(
    st.text("ab[]:2.", max_size=6),
    st.lists(st.builds(str.__add__, st.sampled_from(["", "", "!"]), st.text("ab[]:2.*?", max_size=5)), max_size=4),
)
def test_patterns_match_as_those_of_openssh(subject: str, patterns: list[str]) -> None:
    """Every list of patterns says of every name what OpenSSH's rules say."""
    assert listed(subject, patterns) == matches_list(subject, patterns)


@given(st.binary(max_size=80))
def test_no_content_of_a_file_trusts_by_accident(content: bytes) -> None:
    """Whatever bytes a file has, they are read, and trust no key that they do not hold."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"web1 ssh-ed25519 " + content)
        file.flush()
        with pytest.raises((UnknownKey, ChangedKey)):
            KnownHosts([file.name]).check(WEB, "ssh-ed25519", KEY)
