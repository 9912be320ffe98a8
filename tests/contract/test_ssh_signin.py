"""Signing in at a real sshd with real keys, certificates and agents, as `ssh` signs in with the same ssh_config."""

from __future__ import annotations

import base64
import getpass
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from relman.config.ssh.host import SshConfig
from relman.hosts.ssh.connection import Connection, connect
from relman.hosts.ssh.keys.certificates import BadCertificate, HostCertificate
from relman.model.errors import AccessDenied, HostKeyRejected, RelmanError, Unreachable
from relman.model.host import Host, SshOptions
from tests.contract.sshd import Sshd, add, agent, keygen, make_key, public, sshd
from tests.lab.process import until

USER = getpass.getuser()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of keys: one to eight, rsa, ecdsa, locked (its passphrase is `word`), and ca, which signs."""
    directory = tmp_path_factory.mktemp("keys")
    for name in ("one", "two", "three", "four", "five", "six", "seven", "eight", "ca", "host_ca"):
        make_key(directory / name)
    make_key(directory / "rsa", "rsa")
    make_key(directory / "ecdsa", "ecdsa")
    make_key(directory / "locked", passphrase="word")
    return directory


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Iterator[Sshd]:
    """An sshd that believes the authority `ca` about users."""
    with sshd(tmp_path_factory.mktemp("sshd"), f"TrustedUserCAKeys {keys}/ca.pub") as running:
        yield running


@pytest.fixture(autouse=True)
def no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """No agent of whoever runs the tests."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


def opened(server: Sshd, config: str, *, timeout: float = 5.0, known: str = "") -> Connection:
    """relman's connection to it, by an ssh_config of these lines."""
    written(server, config, known)
    directory = server.directory
    route = SshConfig(directory / "config").route("web1")
    ssh = SshOptions((str(directory / "known_hosts"),), connect_timeout=timeout)
    return connect(Host("web1", route.endpoint, route.jumps), ssh)


def written(server: Sshd, config: str, known: str = "") -> None:
    """The files that relman and ssh read."""
    directory = server.directory
    base = f"HostName 127.0.0.1\nPort {server.port}\nUser {USER}\nUserKnownHostsFile {directory}/known_hosts\n"
    (directory / "config").write_text(f"Host web1\n{config}\n{base}")
    name = f"[127.0.0.1]:{server.port}"
    (directory / "known_hosts").write_text(known or f"{name} {public(directory / 'host')}")


def ssh_goes_in(server: Sshd) -> bool:
    """Whether ssh signs in with the files that `written` wrote."""
    words = ["ssh", "-F", str(server.directory / "config"), "-o", "BatchMode=yes", "web1", "true"]
    return subprocess.run(words, check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=60).returncode == 0


def goes_in(server: Sshd, config: str) -> bool:
    """Whether relman and ssh sign in; they must agree."""
    try:
        opened(server, config).close()
        entered = True
    except AccessDenied:
        entered = False
    assert ssh_goes_in(server) == entered
    return entered


def refused(server: Sshd, config: str, timeout: float = 5.0, known: str = "") -> RelmanError:
    """What relman says."""
    with pytest.raises(RelmanError) as caught:
        opened(server, config, timeout=timeout, known=known).close()
    return caught.value


def offered(server: Sshd, log: str) -> list[str]:
    """The fingerprints that a client offered since the log was `log`, as sshd tells them."""
    return re.findall(r"(?:Failed|Accepted|Postponed) publickey for \S+ from .*(SHA256:\S+)", server.log[len(log) :])


@pytest.mark.parametrize("kind", ["one", "rsa", "ecdsa"])
def test_an_agent_alone_is_enough(
    server: Sshd, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """With SSH_AUTH_SOCK and no key file, and by IdentityAgent as a path, a variable or a name; `none` is none."""
    server.allow(keys / kind)
    with agent(tmp_path, keys / kind) as path:
        assert goes_in(server, f"IdentityAgent {path}")
        assert not goes_in(server, "IdentityFile none")
        monkeypatch.setenv("SSH_AUTH_SOCK", path)
        assert goes_in(server, "IdentityFile none")
        assert goes_in(server, "IdentityAgent SSH_AUTH_SOCK")
        assert not goes_in(server, "IdentityAgent none")
        monkeypatch.setenv("RELMAN_TEST_AGENT", path)
        monkeypatch.setenv("SSH_AUTH_SOCK", "/nowhere")
        assert goes_in(server, "IdentityAgent $RELMAN_TEST_AGENT")
        assert goes_in(server, "IdentityAgent ${RELMAN_TEST_AGENT}")
        assert not goes_in(server, "IdentityAgent $RELMAN_TEST_NO_AGENT")


def test_only_the_keys_that_are_meant_are_offered(server: Sshd, keys: Path, tmp_path: Path) -> None:
    """IdentitiesOnly lets of the agent's keys those through that a file, or the public half alone, names."""
    server.allow(keys / "two")
    alone = tmp_path / "alone.pub"
    alone.write_text(public(keys / "two"))
    with agent(tmp_path, keys / "one", keys / "two") as path:
        only = f"IdentityAgent {path}\nIdentitiesOnly yes\nIdentityFile"
        assert goes_in(server, f"{only} {keys}/two")
        assert goes_in(server, f"{only} {alone}")
        assert goes_in(server, f"{only} {tmp_path}/alone")
        assert not goes_in(server, f"{only} {keys}/one")
        assert goes_in(server, f"IdentityAgent {path}\nIdentityFile {keys}/one")
        assert "IdentitiesOnly" in str(refused(server, f"{only} none"))


def test_certificates_of_users(server: Sshd, keys: Path, tmp_path: Path) -> None:
    """A certificate counts by CertificateFile, beside its key, and in an agent, also for RSA; the key may be in the
    agent alone. One that expired does not."""
    server.allow()
    for name in ("one", "rsa", "two", "six"):
        validity = "20200101:20200102" if name == "six" else "always:forever"
        (tmp_path / name).write_bytes((keys / name).read_bytes())
        (tmp_path / name).chmod(0o600)
        (tmp_path / f"{name}.pub").write_text(public(keys / name))
        keygen("-s", keys / "ca", "-I", "me", "-n", USER, "-V", validity, tmp_path / f"{name}.pub")
    certificate = (tmp_path / "two-cert.pub").rename(tmp_path / "elsewhere.pub")
    assert goes_in(server, f"IdentityFile {tmp_path}/one")
    assert goes_in(server, f"IdentityFile {tmp_path}/rsa")
    assert not goes_in(server, f"IdentityFile {tmp_path}/two")
    assert not goes_in(server, f"IdentityFile {tmp_path}/six")
    assert goes_in(server, f"IdentityFile {tmp_path}/two\nCertificateFile {certificate}")
    for name in ("one", "rsa"):
        (tmp_path / f"of-{name}").mkdir()
        with agent(tmp_path / f"of-{name}", tmp_path / name) as path:
            assert goes_in(server, f"IdentityAgent {path}\nIdentityFile none")
    (tmp_path / "of-two").mkdir()
    with agent(tmp_path / "of-two", keys / "two") as path:
        assert goes_in(server, f"IdentityAgent {path}\nIdentityFile none\nCertificateFile {certificate}")


def test_keys_are_offered_in_the_order_of_ssh(server: Sshd, keys: Path, tmp_path: Path) -> None:
    """Every key once: first those that the agent holds and ssh_config names, then the agent's others, then files."""
    server.allow(keys / "eight")
    with agent(tmp_path, keys / "one", keys / "two") as path:
        config = f"IdentityAgent {path}\nIdentityFile {keys}/eight\nIdentityFile {keys}/two\nIdentityFile {keys}/three"
        before = server.log
        opened(server, config).close()
        ours = offered(server, before)
        before = server.log
        assert ssh_goes_in(server)
        theirs = offered(server, before)
    assert [ours[-1], sorted(set(ours), key=ours.index)] == [theirs[-1], sorted(set(theirs), key=theirs.index)]
    assert len(set(ours)) == 3


def test_a_server_that_hangs_up_after_too_many_keys(server: Sshd, keys: Path, tmp_path: Path) -> None:
    """It is said with the server's own words, and that IdentitiesOnly helps; which it does."""
    server.allow(keys / "eight")
    names = ("one", "two", "three", "four", "five", "six", "seven", "eight")
    with agent(tmp_path, *(keys / name for name in names)) as path:
        said = refused(server, f"IdentityAgent {path}\nIdentityFile none")
        assert isinstance(said, AccessDenied)
        assert "Too many authentication failures" in said.what
        assert "IdentitiesOnly yes" in said.hint
        assert goes_in(server, f"IdentityAgent {path}\nIdentityFile {keys}/eight\nIdentitiesOnly yes")


def test_keys_that_cannot_sign(server: Sshd, keys: Path, tmp_path: Path) -> None:
    """A locked key works by the agent that holds it. Without one it, a junk file, a key of PuTTY, a missing file and a
    key that the host does not know are told apart, each with what to type next."""
    server.allow(keys / "locked")
    junk = tmp_path / "junk"
    junk.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")
    putty = tmp_path / "key.ppk"
    putty.write_text("PuTTY-User-Key-File-3: ssh-ed25519\n")
    alone = tmp_path / "alone.pub"
    alone.write_text(public(keys / "two"))
    for file, what, hint in (
        (keys / "locked", "needs a passphrase", f"ssh-add {keys}/locked"),
        (junk, "is not a private key", f"ssh-keygen -y -f {junk}"),
        (putty, "is a key of PuTTY", "puttygen"),
        (alone, "no agent holds the key of", "ssh-add"),
        (keys / "one", f"127.0.0.1 refused {keys}/one for {USER}", f"ssh-copy-id -p {server.port} {USER}@127.0.0.1"),
    ):
        said = refused(server, f"IdentityFile {file}")
        assert isinstance(said, AccessDenied), file
        assert what in said.what
        assert str(file) in said.what
        assert hint in said.hint
        assert said.host == "web1"
    with agent(tmp_path) as path:
        assert "the SSH agent holds none" in refused(server, f"IdentityAgent {path}\nIdentityFile none").what
        add(path, keys / "locked", "word")
        assert goes_in(server, f"IdentityAgent {path}\nIdentityFile {keys}/locked\nIdentitiesOnly yes")
        subprocess.run(["ssh-add", "-q", "-D"], check=True, env={"SSH_AUTH_SOCK": path}, capture_output=True)
    assert "cannot be used" in refused(server, f"IdentityAgent {tmp_path}/gone\nIdentityFile {keys}/one").what
    server.allow(keys / "one")
    opened(server, f"IdentityAgent {tmp_path}/gone\nIdentityFile {keys}/locked\nIdentityFile {keys}/one").close()


def test_certificates_of_hosts(keys: Path, tmp_path: Path) -> None:
    """A host whose certificate a known authority signed is known, also as HostKeyAlias; a certificate for another host
    or another time, of a user, or of a revoked authority is refused, and is said to be. Without it the key counts."""
    directory = tmp_path / "sshd"
    directory.mkdir()
    authority = f"@cert-authority * {public(keys / 'host_ca')}"
    other = f"@cert-authority [127.0.0.1]:* {public(keys / 'ca')}"
    make_key(directory / "host")

    def signed(*options: str) -> None:
        keygen("-s", keys / "host_ca", "-I", "h", *options, directory / "host.pub")

    signed("-h", "-n", "127.0.0.1,fleet-1,db*")
    with sshd(directory, f"HostCertificate {directory}/host-cert.pub") as server:
        server.allow(keys / "one")
        key = f"IdentityFile {keys}/one"
        for config, known in (
            (key, authority),
            (f"{key}\nHostKeyAlias fleet-1", authority),
            (key, f"{other}{authority}"),
            (key, f"{other}[127.0.0.1]:{server.port} {public(directory / 'host')}"),
        ):
            opened(server, config, known=known).close()
            assert ssh_goes_in(server)
        assert "is not known" in refused(server, key, known=other).what
        revoked = f"{authority}@revoked * {public(keys / 'host_ca')}"
        assert "is revoked" in refused(server, key, known=revoked).what
        bad = refused(server, f"{key}\nHostKeyAlias db-1", known=authority)
        assert isinstance(bad, HostKeyRejected)
        assert not ssh_goes_in(server)
        assert "the host certificate of db-1 is invalid: it is for 127.0.0.1, fleet-1, db*" in bad.what
    for options, why in (
        (("-h", "-V", "20200101:20200102"), "it expired at 2020-01-0"),
        (("-h", "-V", "20990101:21000101"), "it is not valid before 20"),
        (("-n", "127.0.0.1"), ""),
    ):
        signed(*options)
        with sshd(directory, f"HostCertificate {directory}/host-cert.pub") as server:
            said = refused(server, key, known=authority)
            assert isinstance(said, HostKeyRejected)
            assert why in said.what
            assert not ssh_goes_in(server)


def test_signatures_of_authorities(keys: Path, tmp_path: Path) -> None:
    """Any kind of authority's key counts, and SHA-1 of none; a certificate that was changed, or is none, is refused."""
    make_key(tmp_path / "host")

    def certificate(authority: str, *options: str) -> bytes:
        keygen("-s", keys / authority, *options, "-h", "-I", "h", "-n", "web1", tmp_path / "host.pub")
        return base64.b64decode((tmp_path / "host-cert.pub").read_text().split()[1])

    for authority in ("host_ca", "ecdsa", "rsa"):
        blob = certificate(authority)
        HostCertificate(blob).check("web1")
        for at in range(0, len(blob), 7):
            with pytest.raises(BadCertificate):
                HostCertificate(blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :]).check("web1")
        with pytest.raises(BadCertificate):
            HostCertificate(blob[:-5])
    with pytest.raises(BadCertificate, match="ssh-rsa, which is not accepted"):
        HostCertificate(certificate("rsa", "-t", "ssh-rsa")).check("web1")


def test_what_a_server_does_not_do(keys: Path, tmp_path: Path) -> None:
    """Algorithms that are refused are named with what the server offers; so are a server that accepts no keys, one that
    wants more, and one without SFTP."""
    key = f"IdentityFile {keys}/one"
    for line, kind, name in (
        ("KexAlgorithms diffie-hellman-group14-sha1", "key exchange", "diffie-hellman-group14-sha1"),
        ("Ciphers aes128-cbc", "cipher", "aes128-cbc"),
        ("Ciphers aes128-ctr\nMACs hmac-md5", "MAC", "hmac-md5"),
        ("HostKeyAlgorithms ssh-rsa", "host key", "ssh-rsa"),
    ):
        if kind == "host key" and not (tmp_path / "rsa").exists():
            (tmp_path / "rsa").mkdir()
            make_key(tmp_path / "rsa/host", "rsa")
        with sshd(tmp_path / ("rsa" if kind == "host key" else "sshd"), line) as server:
            said = refused(server, key)
            assert isinstance(said, Unreachable)
            assert f"offers no {kind} algorithm that relman takes: {name}" in said.what
    with sshd(tmp_path / "sshd", "PubkeyAuthentication no", "PasswordAuthentication yes") as server:
        assert f"accepts no keys for {USER}, only password" in refused(server, key).what
    with sshd(tmp_path / "sshd", "AuthenticationMethods publickey,password", "PasswordAuthentication yes") as server:
        server.allow(keys / "one")
        assert f"accepted the key of {USER} and requires password, too" in refused(server, key).what
    with sshd(tmp_path / "sshd", "AuthenticationMethods publickey,publickey") as server:
        server.allow(keys / "one", keys / "two")
        assert goes_in(server, f"IdentityFile {keys}/one\nIdentityFile {keys}/two")
    with sshd(tmp_path / "sshd", "Subsystem sftp /nowhere") as server:
        server.allow(keys / "one")
        connection = opened(server, key)
        with pytest.raises(Unreachable, match="SFTP"):
            connection.sftp()
        connection.close()


def test_a_server_that_takes_its_time(keys: Path, tmp_path: Path) -> None:
    """A sign-in that takes longer than ConnectTimeout succeeds, as that limits the connection alone; a server that
    takes connections and says nothing is told from one that does not answer."""
    slow = tmp_path / "slow"
    slow.write_text(f"sleep 4\ncat {tmp_path}/sshd/authorized\n")
    commands = ("AuthorizedKeysFile none", f"AuthorizedKeysCommand /bin/sh {slow}", "AuthorizedKeysCommandUser root")
    with sshd(tmp_path / "sshd", *commands) as server:
        server.allow(keys / "one")
        opened(server, f"IdentityFile {keys}/one\nConnectTimeout 1").close()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mute = Sshd(tmp_path / "sshd", silent.getsockname()[1])
        said = refused(mute, f"IdentityFile {keys}/one", timeout=1)
        assert "takes connections, but its SSH server did not answer within 1 s" in said.what


def test_a_way_through_a_command(server: Sshd, keys: Path, tmp_path: Path) -> None:
    """ProxyCommand of ssh_config is run as ssh runs it: `ssh -W`, with a quote, a pipe and a process of its own, which
    all end with the connection; first wins between it and ProxyJump."""
    server.allow(keys / "one")
    key = f"IdentityFile {keys}/one"
    written(server, key)
    (tmp_path / "bastion").write_text((server.directory / "config").read_text())
    jump = f"ssh -F {tmp_path}/bastion -o BatchMode=yes -W %h:%p web1"
    mark = tmp_path / "the mark"
    for command in (jump, f"sh -c 'echo $$ > \"{mark}\"; sleep 1000 & {jump}; wait'", "none"):
        connection = opened(server, f"{key}\nProxyCommand {command}\nProxyJump nowhere.invalid")
        connection.sftp()
        connection.close()
    until(lambda: not is_there(int(mark.read_text())), "the command's processes to end")


def is_there(group: int) -> bool:
    """Whether a process of the group still runs."""
    shown = subprocess.run(["ps", "-eo", "pgid="], check=True, capture_output=True, text=True).stdout.split()
    return str(group) in shown


def test_a_command_that_fails(server: Sshd, keys: Path) -> None:
    """Its exit code and its last words are in the error, with where it is written; also of one that hangs."""
    key = f"IdentityFile {keys}/one"
    said = refused(server, f"{key}\nProxyCommand sh -c 'echo first >&2; echo no such tunnel >&2; exit 3'")
    assert isinstance(said, Unreachable)
    assert "the ProxyCommand for 127.0.0.1 ended with exit code 3: no such tunnel" in said.what
    assert f"{server.directory}/config:3" in said.hint
    said = refused(server, f"{key}\nProxyCommand sh -c 'echo open https://login >&2; sleep 1000'", timeout=1)
    assert "open https://login" in said.what
    said = refused(server, f"{key}\nProxyCommand /nowhere/at-all %h %p")
    assert "ended with exit code 127" in said.what


def test_a_jump_host_that_forbids_the_way(server: Sshd, keys: Path, tmp_path: Path) -> None:
    """What the jump host refuses, and what it cannot reach, is told from a host that does not answer."""
    server.allow(keys / "one")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()[1]
    with sshd(tmp_path / "bastion", "AllowTcpForwarding no") as bastion:
        bastion.allow(keys / "one")
        said = refused_through(bastion, server.port, keys)
        assert f"the jump host 127.0.0.1 forbids the way to 127.0.0.1:{server.port}" in said.what
        assert "AllowTcpForwarding" in said.hint
    with sshd(tmp_path / "bastion") as bastion:
        bastion.allow(keys / "one")
        assert f"the jump host 127.0.0.1 cannot reach 127.0.0.1:{nobody}" in refused_through(bastion, nobody, keys).what


def refused_through(bastion: Sshd, port: int, keys: Path) -> RelmanError:
    """What is said of a host behind a jump host."""
    directory = bastion.directory
    (directory / "config").write_text(
        f"Host web1\n  Port {port}\n  ProxyJump bastion\nHost bastion\n  Port {bastion.port}\nHost *\n"
        f"  HostName 127.0.0.1\n  User {USER}\n  IdentityFile {keys}/one\n"
    )
    (directory / "known_hosts").write_text(f"[127.0.0.1]:{bastion.port} {public(directory / 'host')}")
    route = SshConfig(directory / "config").route("web1")
    with pytest.raises(RelmanError) as caught:
        connect(Host("web1", route.endpoint, route.jumps), SshOptions((str(directory / "known_hosts"),)))
    return caught.value


def test_many_sign_in_at_once_by_one_agent(server: Sshd, keys: Path, tmp_path: Path) -> None:
    """A fleet's connections ask the agent side by side, and none is in another's way."""
    server.allow(keys / "rsa")
    with agent(tmp_path, keys / "rsa") as path:
        written(server, f"IdentityAgent {path}\nIdentityFile none")
        faults: list[BaseException] = []

        def one() -> None:
            try:
                route = SshConfig(server.directory / "config").route("web1")
                connect(Host("web1", route.endpoint), SshOptions((str(server.directory / "known_hosts"),))).close()
            except BaseException as error:  # it is looked at below
                faults.append(error)

        threads = [threading.Thread(target=one) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not faults
