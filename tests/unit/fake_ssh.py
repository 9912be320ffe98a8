"""An SSH transport without a network, under relman's real adapters: an engine and an SFTP server that answer at once,
and a fault that strikes at the N-th thing that goes over the wire."""

from __future__ import annotations

import json
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import paramiko
from paramiko import sftp
from paramiko.buffered_pipe import BufferedPipe
from paramiko.common import cMSG_CHANNEL_DATA, cMSG_CHANNEL_EOF, cMSG_CHANNEL_OPEN, cMSG_GLOBAL_REQUEST
from paramiko.transport import ChannelMap

from relman.hosts.ssh.connection import Connection
from relman.hosts.ssh.links import Link
from relman.model.host import Hop, Host

ID = "c" * 64
IMAGE = "sha256:" + "d" * 64
INFO: Mapping[str, Any] = {
    "ServerVersion": "26.1.5",
    "Architecture": "x86_64",
    "OSType": "linux",
    "DriverStatus": [["Backing Filesystem", "extfs"], ["driver-type", "io.containerd.snapshotter.v1"]],
    "SystemTime": "2026-01-01T00:00:00.123456789Z",
    "Swarm": {"LocalNodeState": "inactive", "ControlAvailable": False},
}
ROW: Mapping[str, Any] = {
    "Id": ID,
    "Names": ["/shop"],
    "Labels": {"relman.service": "shop"},
    "Ports": [{"Type": "tcp", "PrivatePort": 80, "PublicPort": 8080}, {"Type": "tcp", "PrivatePort": 81}],
}
INSPECTED: Mapping[str, Any] = {
    "Id": ID,
    "Name": "/shop",
    "Image": IMAGE,
    "RestartCount": 0,
    "State": {
        "Status": "running",
        "ExitCode": 0,
        "OOMKilled": False,
        "Error": "",
        "StartedAt": "2026-01-01T00:00:00Z",
        "Health": {"Status": "healthy", "Log": [{"Output": "ok\n"}]},
    },
    "Path": "/run",
    "Args": ["--fast"],
    "Config": {"Labels": {"relman.service": "shop"}, "Env": ["A=b"], "WorkingDir": "/app"},
    "HostConfig": {
        "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
        "RestartPolicy": {"Name": "always"},
    },
    "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2"}}},
}
IMAGES = [{"Id": IMAGE, "RepoTags": ["a:1"], "RepoDigests": ["a@" + IMAGE]}]
IMAGE_INSPECTED: Mapping[str, Any] = {
    "Id": IMAGE,
    "RepoTags": ["a:1"],
    "RepoDigests": ["a@" + IMAGE],
    "Os": "linux",
    "Architecture": "arm64",
    "Variant": "v8",
    "Config": {
        "Labels": {"relman.service": "shop"},
        "Volumes": {"/data": {}},
        "ExposedPorts": {"80/tcp": {}},
        "Env": ["PATH=/bin"],
        "Healthcheck": {"Test": ["CMD", "true"]},
        "Entrypoint": ["/run"],
        "WorkingDir": "/app",
    },
}
EVENTS: list[Mapping[str, Any]] = [
    {"id": "a", "status": "Downloading", "progressDetail": {"current": 1, "total": 3}},
    {"id": "a", "status": "Pull complete", "progressDetail": {}},
    {"status": "Digest: " + IMAGE},
]
_STAMPED = b"2026-01-01T00:00:00.000000001Z hello\n"
LOG = b"\1\0\0\0" + struct.pack(">I", len(_STAMPED)) + _STAMPED
ANSWERS: Mapping[str, bytes] = {
    "/info": json.dumps(INFO).encode(),
    "/containers/json": json.dumps([ROW]).encode(),
    "/images/json": json.dumps(IMAGES).encode(),
    "/images/create": b"\n".join(json.dumps(event).encode() for event in EVENTS),
    "/logs": LOG,
    "/wait": b'{"StatusCode": 0}',
    "/exec": json.dumps({"Id": ID}).encode(),
    "/networks/a": b'{"Driver": "bridge", "IPAM": {"Config": [{"Subnet": "10.0.0.0/8"}]}}',
    "/containers/create": json.dumps({"Id": ID}).encode(),
    "/json": json.dumps(INSPECTED).encode(),
}


@dataclass
class Fault:
    """Counts what goes over the wire, and raises `error` at number `at`; with `dies` the connection is gone then."""

    at: int = 0
    error: BaseException | None = None
    dies: bool = False
    count: int = 0
    transport: FakeTransport | None = None
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    def step(self) -> None:
        """One more thing."""
        with self._mutex:
            self.count += 1
            now = self.count == self.at
        if now and self.error:
            if self.dies and self.transport:
                self.transport.active = False
            raise self.error


class _Pipe(BufferedPipe):  # type: ignore[type-arg]
    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self._fault = fault

    def read(self, nbytes: int, timeout: float | None = None) -> bytes:
        self._fault.step()
        return bytes(super().read(nbytes, timeout))


class FakeTransport:
    """As much of paramiko.Transport as channels need. `engine` maps a request's path to an answer's body, or
    to a whole answer that begins with HTTP/."""

    default_window_size = 1 << 21
    default_max_packet_size = 1 << 15

    def __init__(self, fault: Fault, engine: Callable[[str], bytes], hostile: Iterable[bytes] | None = None) -> None:
        self._hostile = hostile
        self._parts = iter(self._hostile or ())  # one for all channels, each of which has a thread
        self._one_by_one = threading.Lock()
        self.fault = fault
        fault.transport = self
        self.active = True
        self.global_response: Any = None
        self.completion_event = threading.Event()
        self.lock = threading.RLock()
        self.channel_events: dict[int, threading.Event] = {}
        self.channels_seen: dict[int, bool] = {}
        self._channels = ChannelMap()
        self._engine = engine
        self._number = 0
        self._asked: dict[int, bytes] = {}
        self._listed: set[int] = set()

    def _next_channel(self) -> int:
        with self.lock:
            self._number += 1
            return self._number

    def is_active(self) -> bool:
        """Whether the connection stands."""
        return self.active

    def get_exception(self) -> None:
        """What ended it."""
        return

    def get_log_channel(self) -> str:
        """Where paramiko logs to."""
        return "paramiko.transport"

    def get_hexdump(self) -> bool:
        """Whether it logs everything."""
        return False

    def _sanitize_packet_size(self, size: int) -> int:
        return size

    def _unlink_channel(self, number: int) -> None:
        self._channels.delete(number)

    def open_session(self, timeout: float | None = None) -> paramiko.Channel:  # noqa: ARG002
        """A session."""
        return self._made()

    def open_channel(self, *_: Any, **__: Any) -> paramiko.Channel:
        """A channel to a port."""
        return self._made()

    def _made(self) -> paramiko.Channel:
        self.fault.step()
        channel: Any = paramiko.Channel(self._next_channel())
        self._channels.put(channel.chanid, channel)
        channel._set_transport(self)
        channel._set_window(self.default_window_size, self.default_max_packet_size)
        self._open(channel)
        return channel  # type: ignore[no-any-return]

    def _open(self, channel: Any) -> None:
        channel._set_remote_channel(channel.chanid, 1 << 30, 1 << 15)
        channel.in_buffer = _Pipe(self.fault)

    def _send_user_message(self, message: paramiko.Message) -> None:
        self.fault.step()
        sent = paramiko.Message(message.asbytes())
        kind = sent.get_byte()
        if kind == cMSG_CHANNEL_OPEN:
            sent.get_text()
            number = sent.get_int()
            self._open(self._channels.get(number))
            self.channel_events[number].set()
        elif kind == cMSG_GLOBAL_REQUEST:
            self.global_response = paramiko.Message()
            self.completion_event.set()
        elif kind == cMSG_CHANNEL_DATA:
            number = sent.get_int()
            self._asked[number] = self._asked.get(number, b"") + sent.get_string()
            self._answer(number, self._channels.get(number).in_buffer)
        elif kind == cMSG_CHANNEL_EOF:
            ended: Any = self._channels.get(sent.get_int())
            if ended:
                ended._handle_eof(None)

    def _next_part(self) -> bytes | None:
        with self._one_by_one:
            return next(self._parts, None)

    def _flood(self, channel: Any) -> None:
        while (part := self._next_part()) is not None:
            while self.active and not channel.closed and (not part or len(channel.in_buffer) > 1 << 20):
                time.sleep(0.02)
                if not part:
                    break
            if not self.active or channel.closed:
                return
            channel.in_buffer.feed(part)
        channel._handle_eof(None)

    def _answer(self, number: int, pipe: Any) -> None:
        if self._hostile is not None:
            threading.Thread(target=self._flood, args=(self._channels.get(number),), daemon=True).start()
            return
        asked = self._asked[number]
        if asked[:1] == b"\0":
            while len(asked) >= 5 and len(asked) >= 4 + (size := int.from_bytes(asked[:4], "big")):
                pipe.feed(_sftp(asked[4 : 4 + size], self._listed))
                asked = asked[4 + size :]
            self._asked[number] = asked
            return
        head, end, body = asked.partition(b"\r\n\r\n")
        length = next((int(h[15:]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length:")), 0)
        if end and len(body) >= length:
            self._asked[number] = body[length:]
            method, path, _ = head.split(b"\r\n")[0].split(b" ")
            said = b"" if method == b"HEAD" else self._engine(path.decode())
            if said.startswith(b"HTTP/"):
                pipe.feed(said)
                return
            pipe.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            if method != b"HEAD":
                pipe.feed(b"".join(b"1\r\n%c\r\n" % byte for byte in said[:5]))
                pipe.feed(b"%x\r\n%b\r\n" % (len(said[5:]), said[5:]) if said[5:] else b"")
                pipe.feed(b"0\r\n\r\n")


def _text(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _sftp(packet: bytes, listed: set[int]) -> bytes:
    kind, number = packet[0], packet[1:5]
    mode = 0o100600 if b".json" in packet else 0o40700
    of_root = struct.pack(">IQIIIII", 1 | 2 | 4 | 8, 2, 0, 0, mode, 1, 1)
    attributes = number + of_root
    handle = bytes([sftp.CMD_HANDLE]) + number + _text(b"h")
    end = 1 if kind == sftp.CMD_READDIR and listed else 0
    said = {
        sftp.CMD_INIT: bytes([sftp.CMD_VERSION]) + struct.pack(">I", 3),
        sftp.CMD_OPEN: handle,
        sftp.CMD_OPENDIR: handle,
        sftp.CMD_READ: bytes([sftp.CMD_DATA]) + number + _text(b"{}"),
        sftp.CMD_FSTAT: bytes([sftp.CMD_ATTRS]) + attributes,
        sftp.CMD_STAT: bytes([sftp.CMD_ATTRS]) + attributes,
        sftp.CMD_LSTAT: bytes([sftp.CMD_ATTRS]) + attributes,
        sftp.CMD_REALPATH: bytes([sftp.CMD_NAME]) + number + struct.pack(">I", 1) + packet[5:] + _text(b"") + of_root,
    }.get(kind, bytes([sftp.CMD_STATUS]) + number + struct.pack(">I", end) + _text(b"") * 2)
    if kind == sftp.CMD_READDIR and not listed:
        listed.add(1)
        names = _text(b"lock.json.x") + _text(b"") + attributes[4:]
        said = bytes([sftp.CMD_NAME]) + number + struct.pack(">I", 1) + names
    return _text(said)


def answer(path: str) -> bytes:
    """What a healthy engine says."""
    plain = path.partition("?")[0]
    return next((body for end, body in ANSWERS.items() if plain.endswith(end)), b"")


def connection(
    fault: Fault,
    engine: Callable[[str], bytes] = answer,
    *,
    streamlocal: bool = True,
    hostile: Iterable[bytes] | None = None,
    timeout: float = 5.0,
) -> Connection:
    """relman's own connection to the host h1, over a fake transport; `hostile` are the bytes that every channel gets
    instead of answers, b"" for a while without any."""
    transport = FakeTransport(fault, engine, hostile)
    client = SimpleNamespace(get_transport=lambda: transport, close=lambda: setattr(transport, "active", False))
    opened = Connection(Host("h1", Hop("h1")), Link(client), timeout)
    opened.streamlocal = streamlocal
    return opened
