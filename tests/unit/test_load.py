"""The load generator counts what a user would see."""

from __future__ import annotations

import hashlib
import socketserver
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import h2.config
import h2.connection
import h2.events
import pytest

from tests.lab.counted import Target
from tests.lab.load import Users, load
from tests.lab.process import until
from tests.lab.serving import serving


class _Site(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    broken = False

    def do_GET(self) -> None:
        self.send_response(503 if self.broken else 200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"one")

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_what_fails_is_counted_and_nothing_else() -> None:
    """All is well with a server that is; a bad status fails, and so does a server that is gone, on kept connections,
    too."""
    _Site.broken = False
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    target = Target("127.0.0.1", server.server_port, "shop.example.com")
    with load(target, users=Users(1, 1)) as counted:
        with serving(server):
            until(lambda: counted.requests > 20, "requests")
            assert counted.failures == []
            assert set(counted.answers) == {"one"}
            _Site.broken = True
            until(lambda: counted.failures, "failures")
            assert counted.failures[0].endswith(": 503 one")
        before = len(counted.failures)
        until(lambda: len(counted.failures) > before + 2, "more failures")
    assert counted.requests == counted.answers.total() + len(counted.failures)


class _Http2(socketserver.BaseRequestHandler):
    """Answers each request of HTTP/2 with a release; `ends` is what it does instead of answering the third one."""

    ends = "goaway"

    def handle(self) -> None:
        state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        state.initiate_connection()
        uploads: dict[int, bytes] = {}
        while data := self.request.recv(65536):
            for event in state.receive_data(data):
                if isinstance(event, h2.events.DataReceived):
                    uploads[event.stream_id] = uploads.get(event.stream_id, b"") + event.data
                    state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                if not isinstance(event, h2.events.StreamEnded):
                    continue
                if event.stream_id > 6 and self.ends == "nothing":
                    return
                if event.stream_id == 7 and self.ends == "goaway":  # of the second wave, of which it answers the first
                    self.request.sendall(
                        state.data_to_send() + bytes.fromhex("000008 07 00 00000000 00000007 00000000")
                    )
                if event.stream_id > 7 and self.ends == "goaway":
                    continue
                digest = hashlib.sha256(uploads.get(event.stream_id, b"")).hexdigest()
                state.send_headers(event.stream_id, [(":status", "200")])
                state.send_data(event.stream_id, f"one\n{digest}".encode(), end_stream=True)
            self.request.sendall(state.data_to_send())


@pytest.mark.parametrize("ends", ["goaway", "nothing"])
def test_a_request_that_an_http2_server_did_not_look_at_is_no_failure_and_one_that_it_dropped_is(ends: str) -> None:
    """What was sent after the last stream of a GOAWAY is asked again on another connection; what is before it has to be
    answered on that one. A connection that ends without a word fails what is under way."""
    _Http2.ends = ends
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Http2)
    with serving(server), load(Target("127.0.0.1", server.server_address[1], "a"), users=Users(0, 0, http2=1)) as seen:
        until(lambda: seen.requests > 20, "requests")
    if ends == "goaway":
        assert seen.failures == []
        assert seen.kinds["http2 again"] >= 4
    else:
        assert seen.failures
    assert {"http2", "http2 upload"} <= set(seen.kinds)
