"""Whatever a library raises, at whatever moment, leaves a host's adapters as an error in relman's words."""

from __future__ import annotations

import binascii
import http.client
import inspect
import json
import math
import socket
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import ModuleType, SimpleNamespace
from typing import Any

import docker.errors
import paramiko
import pytest
import requests.exceptions
import urllib3.exceptions
from paramiko.buffered_pipe import PipeTimeout

from relman.docker.attached import Attached
from relman.docker.engine import Engine
from relman.hosts.health_probe import ProbeResult, probe_http, probe_tcp
from relman.hosts.ssh import tcp
from relman.hosts.ssh.connection import Connection, connect
from relman.hosts.ssh.port_forward import LoopbackPort, forwarded
from relman.hosts.ssh.sftp import Sftp
from relman.hosts.state_dir import files, lock, record
from relman.model.container import Container, RunSpec
from relman.model.errors import InternalError, RelmanError, Unreachable, UsageError
from relman.model.host import Hop, Host, SshOptions
from relman.model.image import ImageId, ManifestDigest, Repository
from relman.model.settings import DeploySettings, Health
from relman.model.state_dir.lock import Lock
from relman.model.state_dir.record import HostRecord
from tests.unit.fake_ssh import ID, IMAGE, Fault, connection

KEY = paramiko.ECDSAKey.generate()
_SPECIAL: dict[type[BaseException], tuple[Any, ...]] = {
    paramiko.BadHostKeyException: ("h1", KEY, KEY),
    paramiko.BadAuthenticationType: ("no", ["publickey"]),
    paramiko.ChannelException: (2, "Connect failed"),
    paramiko.ssh_exception.NoValidConnectionsError: ({("h1", 22): OSError(111, "refused")},),
    paramiko.ssh_exception.CouldNotCanonicalize: ("h1",),
    docker.errors.ContainerError: (None, 1, "x", "y", "z"),
    UnicodeDecodeError: ("utf-8", b"\xff", 0, 1, "invalid"),
    UnicodeEncodeError: ("ascii", "é", 0, 1, "invalid"),
    json.JSONDecodeError: ("no JSON", "x", 0),
    requests.exceptions.JSONDecodeError: ("no JSON", "x", 0),
    urllib3.exceptions.IncompleteRead: (1, 2),
    urllib3.exceptions.InvalidChunkLength: (SimpleNamespace(tell=lambda: 0, length_remaining=1), b"1"),
}
_BUILT_IN: list[Exception] = [
    EOFError(),
    OSError(28, "No space left on device"),
    OSError(5, "Input/output error"),
    OSError("no number"),
    ConnectionResetError(104, "Connection reset by peer"),
    BrokenPipeError(32, "Broken pipe"),
    PermissionError(13, "Permission denied", "/root/key"),
    IsADirectoryError(21, "Is a directory"),
    TimeoutError(),
    TimeoutError(110, "Connection timed out"),
    PipeTimeout(),
    struct.error("unpack requires 8 bytes"),
    binascii.Error("odd"),
    zlib.error("bad"),
    socket.gaierror(-2, "Name or service not known"),
    *(kind("x") for kind in (ValueError, TypeError, AttributeError, KeyError, IndexError, AssertionError)),
    *(kind() for kind in (RecursionError, OverflowError, StopIteration, NotImplementedError, RuntimeError, ValueError)),
    *(kind(*_SPECIAL[kind]) for kind in (UnicodeDecodeError, UnicodeEncodeError, json.JSONDecodeError)),
]


def _of(module: ModuleType) -> Iterator[Exception]:
    """One of every exception class of a library."""
    for kind in {each for _, each in inspect.getmembers(module, inspect.isclass) if issubclass(each, Exception)}:
        if not kind.__module__.startswith(module.__name__.partition(".")[0]):
            continue
        for arguments in (_SPECIAL.get(kind), (), *(("said",) * count for count in range(1, 5))):
            try:
                made = kind(*arguments) if arguments is not None else None
                if made is not None and str(made) is not None:
                    yield made
                    break
            except (TypeError, AttributeError, ValueError):
                continue
        else:
            pytest.fail(f"nothing makes a {kind}")


_MODULES = (paramiko, paramiko.ssh_exception, requests.exceptions, urllib3.exceptions, docker.errors, http.client)
FOREIGN = list({type(e): e for module in _MODULES for e in _of(module)}.values()) + _BUILT_IN
_SPEC = RunSpec("shop-1", IMAGE, DeploySettings(networks=("a", "b")), {}, ("shop",))
CONTAINER = Container(ID, "shop", ImageId(IMAGE), "running", execs=(ID,))


def _used(place: AbstractContextManager[Attached]) -> tuple[int, Sequence[object]]:
    with place as command:
        command.send(b"typed")
        command.resize(40, 100)
        command.end_input()
        printed = list(command.output())
        return command.exit_code(), printed


ENGINE: dict[str, Callable[[Engine], Any]] = {
    "facts": lambda e: e.facts(),
    "survey": lambda e: e.survey({"relman.service": "shop"}),
    "inspect": lambda e: e.inspect(ID),
    "pull": lambda e: e.pull(Repository("r:1", "shop"), ManifestDigest(IMAGE), {"username": "u"}, lambda *_: None),
    "keep": lambda e: e.keep(ImageId(IMAGE), "relman.kept/a:1"),
    "images": lambda e: e.images("a"),
    "remove_image": lambda e: e.remove_image("a:1"),
    "network": lambda e: e.network("a"),
    "inside.attach": lambda e: _used(e.inside.attach(CONTAINER, ("true",), terminal=False)),
    "inside.start": lambda e: _used(e.inside.start(ID, terminal=False)),
    "inside.run": lambda e: e.inside.run(CONTAINER, ("true",), 1.0),
    "create": lambda e: e.create(_SPEC),
    "start": lambda e: e.start(ID),
    "stop": lambda e: e.stop(ID, 1),
    "set_restart": lambda e: e.set_restart(ID, "no"),
    "require_updates": lambda e: e.require_updates(),
    "remove": lambda e: e.remove(ID),
    "logs": lambda e: e.logs(ID, 10, timestamps=True),
    "logs_since": lambda e: e.logs_since(ID, "2026-01-01T00:00:00.000000001Z"),
    "logs_within": lambda e: e.logs_within(ID, 0.0, math.inf, lambda _: True),
    "follow": lambda e: list(e.follow(ID, "2026-01-01T00:00:00Z")),
}
LOCK = Lock("me", "here", 1, "token", "d1", "m", 60.0)
CONNECTION: dict[str, Callable[[Connection], Any]] = {
    "unix": lambda c: c.unix("/run/docker.sock"),
    "tcp": lambda c: c.tcp("172.17.0.2", 80, 1.0),
    "command": lambda c: c.command(["docker", "version"]),
    "sftp": lambda c: c.sftp(),
    "files.read": lambda c: files.read(c, "/x"),
    "files.tail": lambda c: files.tail(c, "/x", 1),
    "files.append": lambda c: files.append(c, "production", "shop", "journal.jsonl", b"{}"),
    "record.services": lambda c: record.services(c, "production"),
    "record.write": lambda c: record.write(c, HostRecord("shop", "production")),
    "record.forget": lambda c: record.forget(c, "production", "shop"),
    "lock.acquire": lambda c: lock.acquire(c, "production", "shop", LOCK),
    "lock.read": lambda c: lock.read(c, "production", "shop", now=0.0),
    "lock.advance": lambda c: lock.advance(c, "production", "shop", LOCK, look=False),
    "lock.sweep": lambda c: lock.sweep(c, "production", "shop", now=0.0, dead=lambda _: True),
    "forwarded": lambda c: forwarded(c, LoopbackPort("localhost", "127.0.0.1", 5000)).__enter__(),
    "probe_http": lambda c: probe_http(c, "172.17.0.2", Health(), 80, 1.0),
    "probe_tcp": lambda c: probe_tcp(c, "172.17.0.2", 80, 1.0),
}


def _strike(work: Callable[[Connection], Any], *, streamlocal: bool = True) -> None:
    """Let every error strike at some step of `work`, and at every step many of them; of each two neighbours one on a
    connection that dies of it."""
    sound = Fault()
    kept = connection(sound, streamlocal=streamlocal)
    result, steps = work(kept), sound.count  # a channel that nobody has any more says goodbye, which counts, too
    struck = sum(
        _struck(work, Fault(number % steps + 1, error, dies=number // steps % 2 == 1), streamlocal)
        for number, error in enumerate(FOREIGN)
    )
    del kept, result
    assert struck > len(FOREIGN) / 4  # the others struck where all was done, or what was tried again


def _struck(work: Callable[[Connection], Any], fault: Fault, streamlocal: bool) -> bool:
    """Whether the fault was said: some strike where nothing more is needed, or where it is tried again."""
    error = fault.error
    assert error
    error.__cause__ = error.__context__ = error.__traceback__ = None
    said: RelmanError | None = None
    found: Any = None
    try:
        found = work(connection(fault, streamlocal=streamlocal))
    except RelmanError as told:
        said = told
    if said is None:
        return isinstance(found, ProbeResult) and not found.ok
    assert not isinstance(said, InternalError), (error, fault)
    assert said.host == "h1", (error, fault)
    assert said.what.strip(), (error, fault)
    assert "PipeTimeout" not in str(said), (error, fault)
    return True


@pytest.mark.parametrize("name", ENGINE)
def test_what_strikes_a_call_of_the_engine(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At its messages and its reads, in the middle of a stream too, the error is relman's and names the host."""
    monkeypatch.setattr("relman.docker.engine._PAUSE", 0.0)
    _strike(lambda opened: ENGINE[name](Engine(opened)))


@pytest.mark.parametrize("name", ["facts", "pull", "follow"])
def test_what_strikes_a_call_through_the_docker_command(name: str) -> None:
    """It is the same where sshd does not open the engine's socket."""
    _strike(lambda opened: ENGINE[name](Engine(opened)), streamlocal=False)


@pytest.mark.parametrize("name", CONNECTION)
def test_what_strikes_the_connection_its_files_and_its_probes(name: str) -> None:
    """Channels, SFTP, lock, record and probes let nothing foreign out either."""
    _strike(CONNECTION[name])


def test_an_sftp_client_raises_what_it_says() -> None:
    """Only what the server refuses, a broken connection and lateness, whatever strikes it."""
    for error in FOREIGN:
        fault = Fault(3, error)
        error.__cause__ = error.__context__ = error.__traceback__ = None
        with pytest.raises((OSError, EOFError, paramiko.SSHException)):
            Sftp(connection(fault).transport.open_session(), 5.0)


@pytest.mark.parametrize("place", ["socket.create_connection", "paramiko.SSHClient.connect"])
def test_what_strikes_while_a_host_is_connected(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, sockets, banners, keys: the error is relman's, names the host, and is no internal one."""

    def strike(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(tcp, "open_socket", lambda *_: socket.socket())
    if place == "socket.create_connection":
        monkeypatch.undo()
    monkeypatch.setattr(place, strike)
    for error in FOREIGN:
        error.__cause__ = error.__context__ = error.__traceback__ = None
        with pytest.raises(RelmanError) as caught:
            connect(Host("h1", Hop("web1")), SshOptions())
        assert not isinstance(caught.value, InternalError)
        assert (caught.value.host, bool(caught.value.what)) == ("h1", True)


@pytest.mark.parametrize("address", ["web1:2222", "me@web1", "me@web1:2222"])
def test_an_address_with_more_in_it(address: str) -> None:
    """A port or a user in an address is said, with where it belongs."""
    with pytest.raises(UsageError, match="is not a host's address") as caught:
        connect(Host("h1", Hop(address)), SshOptions())
    assert "ansible_port" in caught.value.hint


def test_known_hosts_of_any_content(tmp_path: Any) -> None:
    """Lines that are no keys are passed over; a file that cannot be read is a mistake that is said."""
    file = tmp_path / "known_hosts"
    kinds = ("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ssh-dss", "sk-ssh-ed25519@openssh.com", "x")
    bodies = ("AAAA", "!", "AAAAC3NzaC1lZDI1NTE5AAAAIA==", "////" * 20, "")
    file.write_text(
        "\n".join(f"{name} {kind} {body}" for name in ("h", "|1|x|y", "@x") for kind in kinds for body in bodies)
    )
    with pytest.raises(Unreachable):
        connect(Host("h1", Hop("127.0.0.1", 1)), SshOptions((str(file),)))
    file.unlink()
    file.symlink_to(tmp_path / "a" / "b")
    (tmp_path / "a").write_text("")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises((UsageError, Unreachable)):
        connect(Host("h1", Hop("127.0.0.1", 1)), SshOptions((str(loop),)))
