"""Check a service from inside its container, if this machine cannot reach the run's network: the engine runs in a
container (docker:dind), is remote, or only its socket is shared."""

from __future__ import annotations

import http.client
import socket

from relman.ci.engine.containers import State
from relman.docker.answers import id_of
from relman.docker.client import Client
from relman.docker.execs import Repeated
from relman.local.http_check import GOOD, headers_of
from relman.model.errors import CannotAsk, EngineError
from relman.model.service import WaitFor

_NO_SHELL, _NO_PROGRAM = (126, 127), 3
# Whether a socket listens on the port, on an address other than loopback; needs only a shell (proc(5), /proc/net/tcp).
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
    "import http.client, sys; address, port, path, *given = sys.argv[1:]; "
    "c = http.client.HTTPConnection(address, int(port), timeout=2); "
    "c.request('GET', path, headers=dict(each.split(': ', 1) for each in given)); print(c.getresponse().status)"
)
# Whether a path responds with a passing status (relman.local.http_check). busybox's wget would follow redirects.
_HTTP = f"""
address=$1 port=$2 path=$3
shift 3
url="http://$address:$port$path" nc= limit=
has() {{ command -v "$1" >/dev/null 2>&1; }}
status() {{ while read -r version code _; do case "$version" in HTTP/*) echo "$code"; return;; esac; done; }}
asked() {{ printf 'GET %s HTTP/1.0\r\n' "$path"; printf '%s\r\n' "$@" ''; }}
has timeout && limit="timeout 2"
has nc && nc="$limit nc"
if has busybox; then busybox nc -h >/dev/null 2>&1; [ $? = 127 ] || nc="busybox timeout 2 busybox nc"; fi
if has curl; then
  for each; do shift; set -- "$@" -H "$each"; done
  code=$(curl -s -m 2 -o /dev/null -w '%{{http_code}}' "$@" "$url")
elif has python3; then
  code=$(python3 -c "{_PYTHON}" "$address" "$port" "$path" "$@" 2>/dev/null)
elif has wget && wget --version >/dev/null 2>&1; then
  for each; do shift; set -- "$@" "--header=$each"; done
  code=$(wget -S -T 2 -t 1 --max-redirect=0 -O /dev/null "$@" "$url" 2>&1 | status)
elif [ "$nc" ]; then
  code=$(asked "$@" | $nc "$address" "$port" 2>/dev/null | status)
else
  exit {_NO_PROGRAM}
fi
[ "${{code:-0}}" -ge {GOOD.start} ] && [ "$code" -lt {GOOD.stop} ] || exit 1
"""


def reaches(client: Client, network: str) -> bool:
    """Whether the network's bridge is on this machine: Docker names it after the network's id. Raises EngineError."""
    known = client.get(f"cannot inspect network {network}", "/networks/{}", network, read=id_of)
    try:
        socket.if_nametoindex(f"br-{known[:12]}")
    except OSError:
        return False
    return True


class InsideProbe:
    """Checks a TCP port, or the HTTP of a `wait`, inside the container, one check at a time."""

    def __init__(self, client: Client, container: str, port: int, wait: WaitFor | None = None) -> None:
        self._commands = Repeated(client, "cannot ask inside the service", container)
        self._port, self._wait = port, wait

    def __call__(self, now: State) -> bool:
        """Whether the service responds. Raises CannotAsk if its image has no program for the check."""
        try:
            code = self._commands.poll(["/bin/sh", "-c", *self._script(now.address)])
        except EngineError as error:
            if error.status == http.client.CONFLICT:  # the container ended meanwhile
                return False
            if error.status == http.client.BAD_REQUEST:
                raise self._without("shell") from error
            raise
        if code in _NO_SHELL:
            raise self._without("shell")
        if code == _NO_PROGRAM:
            raise self._without("curl, python3, wget or nc")
        return code == 0

    def _script(self, address: str) -> list[str]:
        if self._wait is None:
            return [_TCP, "sh", address, str(self._port)]
        headers = headers_of(self._wait.http_host or f"{address}:{self._port}", self._wait.http_headers)
        given = [f"{name}: {value}" for name, value in headers.items()]
        return [_HTTP, "sh", address, str(self._port), self._wait.http_path, *given]

    def _without(self, what: str) -> CannotAsk:
        return CannotAsk(
            f"cannot check whether port {self._port} answers: this machine does not reach its engine's containers, and "
            f"the image has no {what} for it",
            hint="Give the image a HEALTHCHECK or the service a `wait.command`, or run the job beside the engine.",
        )
