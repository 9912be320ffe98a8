"""The configuration of HAProxy, rendered from what a host routes. Pure.

Keywords are those of HAProxy 2.6 and later (https://docs.haproxy.org/2.6/configuration.html). Every value goes
through relman/rollout/proxy/words.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from relman.model.proxy import Backend, Certificate, HostProxy
from relman.model.proxy_settings import Https, Protocol
from relman.model.settings import Probe
from relman.model.state_dir.proxy import ProxyState
from relman.rollout.proxy import observed_cfg as observed
from relman.rollout.proxy import words
from relman.rollout.proxy.acme_cfg import answers, without_certificate

RUN = "/run/relman"
"""The directory of the proxy's sockets in its container."""
ETC = "/etc/relman"
"""The directory of its configuration there."""
CERTIFICATES = "/etc/relman-certificates"
"""The directory of its certificates there, each with its key."""
NOBODY = "none"
HEAD = 10.0
"""How long the head of a request may take, from the beginning of a new connection on (seconds)."""
_WORKER = 99  # the user and group of the workers
_NOT_FOUND = 'http-request return status 404 content-type text/plain string "not found\\n"'
_BY_TLS = "{ req.hdr(X-Forwarded-Proto) -i https }"


def rendered(state: ProxyState) -> str:
    """The file. Its description is a hash of all else, by which a proxy says what it has loaded. Raises ConfigError if
    a value has no place in it."""
    body = "".join(f"{line}\n" for line in _lines(state, sorted(state.backends, key=lambda b: b.name)))
    return f"global\n  description {description(body)}\n{body}"


def certificate_list(state: ProxyState) -> str:
    """The file that lists the certificates. Raises ConfigError if one has no place in it."""
    return "".join(f"{CERTIFICATES}/{words.word(each.file)}\n" for each in state.certificates)


def description(body: str) -> str:
    """What stands in the file for everything that follows it."""
    return f"relman sha256:{hashlib.sha256(body.encode()).hexdigest()}"


def loaded_as(text: str) -> str:
    """The description in a file."""
    return text.splitlines()[1].strip().partition(" ")[2]


def is_whole(text: str) -> bool:
    """Whether a file is as relman wrote it, and not edited since."""
    head, _, body = text.partition("\n")[2].partition("\n")
    return head.strip() == f"description {description(body)}"


def _lines(state: ProxyState, backends: Sequence[Backend]) -> Iterator[str]:
    proxy = state.proxy
    web, tcp = _web(backends), [b for b in backends if b.settings.protocol is Protocol.TCP]
    yield from _globals(state)
    yield from _http_defaults(proxy)
    yield from _frontend(state, backends, ())
    if state.certificates:
        yield from _frontend(state, backends, state.certificates)
    if proxy.metrics:
        yield from observed.metrics(proxy.metrics)
    yield f"backend {NOBODY} from web"
    yield f"  {_NOT_FOUND}"
    yield from observed.table()
    for backend in web:
        yield from _http_backend(state, backend)
    if tcp:
        yield from _tcp_defaults()
    for backend in tcp:
        yield from _tcp_backend(backend)


def _web(backends: Sequence[Backend]) -> list[Backend]:
    return [b for b in backends if b.settings.protocol is not Protocol.TCP]


def _globals(state: ProxyState) -> Iterator[str]:
    if state.overwritten:
        yield f"  # in the place of edited files: {state.overwritten:d}"
    number, (uid, gid) = state.number, state.owner
    yield observed.log_target()
    yield f"  stats socket {RUN}/admin-{number:d}.sock mode 600 level admin expose-fd listeners"
    # By this one relman counts what users see.
    yield f"  stats socket {RUN}/count-{number:d}.sock mode 660 uid {uid:d} gid {gid:d} level operator"
    yield "  hard-stop-after 24h"
    yield f"  uid {_WORKER}"
    yield f"  gid {_WORKER}"
    yield "  ssl-default-bind-options ssl-min-ver TLSv1.2"


def _http_defaults(proxy: HostProxy) -> Iterator[str]:
    yield "defaults web"
    yield "  mode http"
    yield from _times(client="60s", server="60s")
    yield f"  timeout http-request {words.milliseconds(HEAD)}"
    yield f"  timeout http-keep-alive {words.milliseconds(proxy.keep_alive)}"
    yield "  timeout queue 5s"
    yield "  timeout tunnel 1h"
    # A reload closes no connection under a request with this alone; close-spread-time would undo it.
    yield "  option idle-close-on-response"
    yield "  option redispatch"
    yield from observed.http_lines()


def _tcp_defaults() -> Iterator[str]:
    yield "defaults tcp"
    yield "  mode tcp"
    yield from _times(client="1h", server="1h")
    yield from observed.tcp_lines()


def _times(client: str, server: str) -> Iterator[str]:
    yield "  log global"
    yield "  timeout connect 2s"
    yield f"  timeout client {client}"
    # An HTTP/2 connection that a client keeps after GOAWAY ends after this.
    yield "  timeout client-fin 3s"
    yield f"  timeout server {server}"
    yield "  retries 3"


def _frontend(state: ProxyState, backends: Sequence[Backend], certificates: Sequence[Certificate]) -> Iterator[str]:
    proxy = state.proxy
    if certificates:
        yield "frontend https from web"
        # Without strict-sni an unknown name would get the first certificate.
        files = f"crt-list {CERTIFICATES}/{state.list_of_certificates}"
        yield f"  bind :{proxy.https:d} ssl {files} strict-sni alpn h2,http/1.1"
    else:
        yield "frontend http from web"
        yield f"  bind :{proxy.http:d}"
    yield from observed.http_frontend()
    if not certificates:
        yield from answers(state.challenges)
    yield from _forwarded(proxy, "https" if certificates else "http")
    if proxy.health:
        yield from _health(proxy.health, backends)
    # The more special ones first: those that name hosts, then the longer paths.
    for backend in sorted(_web(backends), key=lambda b: (not b.route.hosts, -len(b.route.path), b.name)):
        yield from _use(backend)
    yield f"  default_backend {NOBODY}"


def _forwarded(proxy: HostProxy, scheme: str) -> Iterator[str]:
    """What clients say of themselves is not passed on, but for those who are trusted."""
    unless = " unless trusted" if proxy.trusted else ""
    yield from words.acl("trusted", "src", proxy.trusted)
    for header in ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "Forwarded"):
        yield f"  http-request del-header {header}{unless}"
    yield "  option forwardfor"
    known = " { req.hdr(X-Forwarded-Proto) -m found }" if proxy.trusted else ""
    yield f"  http-request set-header X-Forwarded-Proto {scheme}{unless}{known}"


def _health(path: str, backends: Sequence[Backend]) -> Iterator[str]:
    asked = f"{{ path {words.word(path)} }}"
    yield f"  http-request set-log-level silent if {asked}"
    for backend in backends:
        yield (
            f'  http-request return status 503 content-type text/plain string "no server\\n" '
            f"if {asked} {{ nbsrv({words.word(backend.name)}) eq 0 }}"
        )
    yield f'  http-request return status 200 content-type text/plain string "ok\\n" if {asked}'


def _use(backend: Backend) -> Iterator[str]:
    name, hosts, path = words.word(backend.name), backend.route.hosts, words.word(backend.route.path)
    yield from words.acl(f"hosts:{name}", words.HOST, hosts)
    asked = [f"hosts:{name}"] if hosts else []
    ways = [[*asked, f"{{ {way} }}"] for way in (f"path {path}", f"path_beg {path}/")] if path != "/" else [asked]
    condition = " || ".join(" ".join(way) for way in ways)
    yield f"  use_backend {name} if {condition}" if condition else f"  use_backend {name}"


def _https_only(state: ProxyState, backend: Backend) -> Iterator[str]:
    """TLS ends here, or with somebody who is trusted; else nothing can be asked for."""
    proxy = state.proxy
    if not (state.certificates or proxy.trusted):
        return
    if backend.settings.https is Https.REDIRECT:
        there = "scheme https" if proxy.https == 443 else f"prefix https://%[req.hdr(host),field(1,:)]:{proxy.https:d}"
        excepted = without_certificate(state, backend)
        yield from words.acl("uncertified", words.HOST, excepted)
        unless = f"{_BY_TLS} || uncertified" if excepted else _BY_TLS
        yield f"  http-request redirect {there} code 308 unless {unless}"
    elif backend.settings.https is Https.ONLY:
        yield f"  {_NOT_FOUND} unless {_BY_TLS}"


def _http_backend(state: ProxyState, backend: Backend) -> Iterator[str]:
    settings, path = backend.settings, backend.route.path
    yield f"backend {words.word(backend.name)} from web"
    yield from observed.http_backend()
    yield "  balance leastconn"
    yield f"  timeout server {words.milliseconds(settings.response_timeout)}"
    if state.page:
        yield f"  errorfile 503 {ETC}/{words.word(state.page)}"
    if backend.maintenance:
        yield "  http-request deny deny_status 503"
    if settings.protocol is Protocol.HTTP:
        # A service closes idle connections, too: on one that is kept a request would meet its end, and be lost.
        yield "  option http-server-close"
    yield from _https_only(state, backend)
    if backend.route.strip_prefix:
        yield f"  http-request set-header X-Forwarded-Prefix {words.header(path)}"
        yield f"  http-request set-path / if {{ path {words.word(path)} }}"
        yield f"  http-request set-path %[path,bytes({len(path)})] if {{ path_beg {words.word(path)}/ }}"
    if backend.hold:
        yield "  http-reuse never"
        yield f"  retries {_retries(backend.hold)}"
        yield "  retry-on conn-failure"
    yield from _checked(backend)
    yield from _options(backend)
    yield from _servers(backend, " proto h2" if settings.protocol is Protocol.H2C else "")


def _tcp_backend(backend: Backend) -> Iterator[str]:
    name = words.word(backend.name)
    if backend.route.listen is None:
        raise words.unsayable(f"{name} speaks TCP, and its route has no port to listen on")
    yield f"frontend listen:{name} from tcp"
    yield f"  bind :{backend.route.listen:d}"
    yield from observed.tcp_frontend()
    yield f"  default_backend {name}"
    yield f"backend {name} from tcp"
    yield "  balance leastconn"
    if backend.hold:
        yield f"  retries {_retries(backend.hold)}"
    yield from _checked(backend)
    yield from _options(backend)
    yield from _servers(backend, "")


def _checked(backend: Backend) -> Iterator[str]:
    """The check that relman makes itself: a hung container accepts connections, and would stay in rotation."""
    health = backend.health
    if health.probe is not Probe.HTTP or not backend.servers:
        return
    host = health.host or backend.servers[0].address
    headers = "".join(f" hdr {words.word(name)} {words.header(value)}" for name, value in health.headers.items())
    yield "  option httpchk"
    asked = f"meth GET uri {words.word(health.path)} ver HTTP/1.1"
    yield f"  http-check send {asked} hdr Host {words.header(host)}{headers}"
    yield "  http-check expect status 200-399"


def _options(backend: Backend) -> Iterator[str]:
    for line in backend.route.options:
        yield f"  {words.line(line)}"


def _servers(backend: Backend, spoken: str) -> Iterator[str]:
    health, held = backend.health, backend.hold
    check = "check"
    if health.probe.by_address and health.port and health.port != backend.settings.port:
        check += f" port {health.port:d}"
    if health.probe is Probe.HTTP and spoken:
        check += " check-proto h1"
    # While requests wait, the one server must not count as down: its successor has its address.
    check += f" inter 1s fall {_retries(held) + 10} rise 1" if held else " inter 2s fall 2 rise 2"
    for server in backend.servers:
        address = f"{words.word(server.address)}:{backend.settings.port:d}"
        yield f"  server {words.word(server.name)} {address} {check}{spoken}"


def _retries(hold: float) -> int:
    """A refused connection is tried again after a second."""
    return max(1, round(hold))
