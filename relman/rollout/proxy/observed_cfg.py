"""The part of HAProxy's configuration that lets requests be seen: a line of JSON for each, and counters. Pure.

A line has nothing of a request that may be secret: no query, no header but Host. The counters of times are entries of a
stick table, one for each backend: HAProxy's own statistics have no percentiles.
"""

from __future__ import annotations

from collections.abc import Iterator

from relman.model.proxy import BOUNDS

_SECTION, _TABLE = "observed", "times"
TIMES = f"{_SECTION}/{_TABLE}"
"""The table of the counters of times."""
_LONGEST = 8192  # bytes of a line: none of the texts below reaches that when it is escaped
_AT = '"time":"%[var(txn.begun),div(1000),utime(%Y-%m-%dT%H:%M:%S)].%[var(txn.begun),mod(1000),add(1000),regsub(^1,)]Z"'
_WHO = '"client":"%ci","tls":"%sslv"'
_WHERE = '"service":"%b","server":"%s","end":"%ts"'
_BYTES = '"received":%U,"sent":%B'
_SLASH = "\\" * 4 + "/"  # in a pattern in an argument
_COUNTER = 2  # of those that a request may be tracked by; the first ones are the environment's own


def _text(name: str) -> str:
    # json() escapes each /, and each \ before one is two, so that this undoes no more than that.
    return f'"{name}":"%[var(txn.{name}),json(utf8ps),regsub({_SLASH},/,g)]"'


def _json(*parts: str) -> str:
    return f"  log-format '{{{','.join(parts)}}}'"


def log_target() -> str:
    """Where lines are written: the container's log."""
    return f"  log stdout len {_LONGEST} format raw local0 info"


def http_lines() -> Iterator[str]:
    """What belongs into the defaults of HTTP. Requests that never came are not logged."""
    yield "  option dontlognull"
    asked = (_text("method"), _text("host"), _text("path"))
    times = '"queue":%Tw,"connect":%Tc,"response":%Tr,"total":%Ta'
    yield _json(_AT, _WHO, '"http":"%HV"', *asked, '"status":%ST', _WHERE, times, _BYTES)


def tcp_lines() -> Iterator[str]:
    """What belongs into the defaults of TCP."""
    yield "  option dontlognull"
    yield _json(_AT, _WHO, _WHERE, '"queue":%Tw,"connect":%Tc,"total":%Tt', _BYTES)


def http_frontend() -> Iterator[str]:
    """What belongs into each frontend of HTTP: what a line says of a request, and the time until its answer began."""
    yield "  http-request set-var(txn.begun) date(0,ms)"
    yield "  http-request set-var(txn.method) method,bytes(0,32)"
    yield "  http-request set-var(txn.host) req.hdr(host),bytes(0,255)"
    yield "  http-request set-var(txn.path) path,bytes(0,512)"
    yield "  http-after-response set-var(txn.took) date(0,ms),sub(txn.begun)"
    for at, bound in enumerate((*BOUNDS, None)):
        first = " !{ var(txn.counted) -m found }" if at else ""
        within = f" {{ var(txn.took) -m int le {bound} }}" if bound else ""
        yield f"  http-after-response set-var(txn.counted) sc_inc_gpc({at},{_COUNTER}) if{first}{within}"


def tcp_frontend() -> Iterator[str]:
    """What belongs into each frontend of TCP."""
    yield "  tcp-request content set-var(txn.begun) date(0,ms)"


def http_backend() -> Iterator[str]:
    """What belongs into each backend of HTTP, before any answer."""
    yield f"  http-request track-sc{_COUNTER} be_name table {TIMES}"


def table() -> Iterator[str]:
    """The table of the counters. One that belongs to a backend would be emptied when its worker becomes an old one."""
    yield f"peers {_SECTION}"
    yield "  disabled"
    yield f"  table {_TABLE} type string len 256 size 10k store gpc({len(BOUNDS) + 1})"


def metrics(port: int) -> Iterator[str]:
    """The frontend of HAProxy's own metrics, for this host alone."""
    yield "frontend metrics from web"
    yield f"  bind 127.0.0.1:{port:d}"
    yield "  no log"
    yield "  http-request use-service prometheus-exporter if { path /metrics }"
    yield '  http-request return status 404 content-type text/plain string "not found\\n"'
