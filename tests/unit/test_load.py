"""The load generator counts what a user would see."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.lab.load import Target, load
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
    with load(target, new=1, kept=1) as counted:
        with serving(server):
            until(lambda: counted.requests > 20, "requests")
            assert counted.failures == []
            assert set(counted.answers) == {"one"}
            _Site.broken = True
            until(lambda: counted.failures, "failures")
            assert counted.failures[0] == "503 one"
        before = len(counted.failures)
        until(lambda: len(counted.failures) > before + 2, "more failures")
    assert counted.requests == counted.answers.total() + len(counted.failures)
