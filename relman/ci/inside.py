"""Questions to a service asked inside of its container, where this machine does not reach the run's network: that of an
engine in a container (docker:dind), of one that only lends its socket, or of one far away."""

from __future__ import annotations

import http.client
import socket
from typing import TYPE_CHECKING

from relman.ci.containers import State
from relman.ci.engine import translated
from relman.model.errors import CannotAsk, EngineError

if TYPE_CHECKING:
    import docker

_NO_SHELL, _NO_PROGRAM = (126, 127), 3
# Whether a socket listens on the port, on any address but loopback: with nothing but a shell (proc(5), /proc/net/tcp).
_TCP = """
wanted=$(printf :%04X "$2")
for table in /proc/net/tcp /proc/net/tcp6; do
  [ -r $table ] || continue
  while read -r _ address _ state _; do
    case "$address" in ??????7F:*|00000000000000000000000001000000:*) continue;; esac
    case "$address $state" in *"$wanted 0A") exit 0;; esac
  done < $table
done
exit 1
"""
_PYTHON = (
    "import http.client, sys; c = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=2); "
    "c.request('GET', sys.argv[3]); sys.exit(c.getresponse().status >= 400)"
)
_HTTP = f"""
has() {{ command -v "$1" >/dev/null 2>&1; }}
if has curl; then exec curl -s -f -m 2 -o /dev/null "http://$1:$2$3"; fi
if has python3; then exec python3 -c "{_PYTHON}" "$1" "$2" "$3" 2>/dev/null; fi
has timeout && limit="timeout 2"
if has wget; then exec $limit wget -q -O /dev/null "http://$1:$2$3"; fi
if has busybox; then exec busybox timeout 2 busybox wget -q -O /dev/null "http://$1:$2$3"; fi
exit {_NO_PROGRAM}
"""


def reaches(client: docker.APIClient, network: str) -> bool:
    """Whether the bridge of the engine's network is one of this machine's: Docker names it by the network's id. Raises
    EngineError."""
    with translated(f"cannot inspect network {network}"):
        known = str(client.inspect_network(network)["Id"])
    try:
        socket.if_nametoindex(f"br-{known[:12]}")
    except OSError:
        return False
    return True


class InsideProbe:
    """Asks for a TCP port, or with a path for HTTP, inside the container, one question at a time."""

    def __init__(self, client: docker.APIClient, container: str, port: int, path: str = "") -> None:
        self._client = client
        self._container = container
        self._port, self._path = port, path
        self._running = ""

    def __call__(self, now: State) -> bool:
        """Whether the service answers. Raises CannotAsk where its image has nothing to ask with."""
        try:
            with translated("cannot ask inside the service"):
                return self._look(now.address)
        except EngineError as error:
            if error.status == http.client.CONFLICT:  # the container ended meanwhile
                return False
            if error.status == http.client.BAD_REQUEST:
                raise self._without("shell") from error
            raise

    def _look(self, address: str) -> bool:
        if not self._running:
            argv = ["/bin/sh", "-c", _HTTP if self._path else _TCP, "sh", address, str(self._port), self._path]
            self._running = self._client.exec_create(self._container, argv)["Id"]
            self._client.exec_start(self._running, detach=True)
        now = self._client.exec_inspect(self._running)
        if now["Running"]:
            return False
        self._running = ""
        if now["ExitCode"] in _NO_SHELL:
            raise self._without("shell")
        if now["ExitCode"] == _NO_PROGRAM:
            raise self._without("curl, python3 or wget")
        return bool(now["ExitCode"] == 0)

    def _without(self, what: str) -> CannotAsk:
        return CannotAsk(
            f"cannot ask whether port {self._port} answers: this machine does not reach its engine's containers, and "
            f"the image has no {what} to ask with",
            hint="Give the image a HEALTHCHECK or the service a `wait.command`, or run the job beside the engine.",
        )
