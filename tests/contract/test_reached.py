"""How a registry is reached: the system's CA store, proxies, and plain HTTP only where it is allowed by name."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from relman.ci.library.files import File
from relman.ci.library.index import Index
from relman.local import tls
from relman.model.errors import AccessDenied, RegistryError, RelmanError, Unreachable, UsageError
from relman.model.image import Repository
from relman.registry.auth import Credentials
from relman.registry.client import Registry
from relman.registry.http.network import RegistryAccess
from relman.registry.http.proxies import proxies_of
from tests.contract.content import Reply
from tests.contract.hostile import Hostile, Peer
from tests.contract.images import push_image
from tests.contract.registry_fixture import elsewhere, free_port
from tests.contract.simulator import PASSWORD, USERNAME, Simulator
from tests.lab.process import end_file, spawn, until
from tests.lab.registry import USER
from tests.lab.registry import Registry as RealRegistry

ASK = """
import sys
from relman.model.image import Repository
from relman.registry.client import Registry
from relman.model.errors import RelmanError
try:
    with Registry(sys.argv[1], timeout=10) as registry:
        registry.find(Repository(sys.argv[1], "shop"), "1")
except RelmanError as error:
    print(error.what)
"""
LET_IN = "requires a login"
NOT_TRUSTED = "certificate is not trusted"


def asked(host: str, **variables: str) -> str:
    """What a process of its own, with these variables, says of a registry."""
    return _words(
        subprocess.run([sys.executable, "-c", ASK, host], env=_env(variables), text=True, capture_output=True)
    )


def _env(variables: Mapping[str, str]) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SSL_CERT_") and not k.lower().endswith("_proxy")}
    return kept | dict(variables)


def _words(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_system_s_store_counts(real_registry: RealRegistry, tmp_path: Path) -> None:
    """A company's CA counts once it is where SSL_CERT_FILE or SSL_CERT_DIR say, and REQUESTS_CA_BUNDLE says nothing."""
    host, ca = real_registry.address, str(real_registry.ca)
    shutil.copy(ca, tmp_path / "company.crt")
    subprocess.run(["openssl", "rehash", tmp_path], check=True)
    assert NOT_TRUSTED in asked(host, REQUESTS_CA_BUNDLE=ca)
    assert LET_IN in asked(host, SSL_CERT_FILE=ca)
    assert LET_IN in asked(host, SSL_CERT_DIR=str(tmp_path))


def test_the_system_s_store_counts_for_a_package_index(
    real_registry: RealRegistry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A package index without a CA of its own is checked against the system's, too."""
    file = File(tmp_path / "money-1.0.tar.gz", "0" * 64, "money", "1.0")

    def has() -> bool:
        tls._of_system.cache_clear()
        index = Index(f"https://{real_registry.address}/", None, None)
        try:
            return index.has(file)
        finally:
            index.close()
            tls._of_system.cache_clear()

    with pytest.raises(Unreachable, match="certificate verify failed"):
        has()
    monkeypatch.setenv("SSL_CERT_FILE", str(real_registry.ca))
    assert not has()


def test_update_ca_certificates_is_enough(real_registry: RealRegistry, tmp_path: Path) -> None:
    """A CA that an administrator adds to Debian's store with update-ca-certificates counts, with no variable set."""
    own, store, none = tmp_path / "local", tmp_path / "certs", tmp_path / "none"
    for directory in (own, store, none):
        directory.mkdir()
    (tmp_path / "conf").touch()
    shutil.copy(real_registry.ca, own / "company.crt")
    update = ("update-ca-certificates", "--certsconf", tmp_path / "conf", "--hooksdir", none)
    subprocess.run([*update, "--localcertsdir", own, "--etccertsdir", store], check=True, capture_output=True)
    ask = [sys.executable, "-c", ASK, real_registry.address]
    there = ["unshare", "--mount", "sh", "-ec", f'mount --bind {store} /etc/ssl/certs && exec "$@"', "sh"]
    assert LET_IN in _words(subprocess.run([*there, *ask], env=_env({}), text=True, capture_output=True))
    assert NOT_TRUSTED in asked(real_registry.address)


def test_a_python_from_elsewhere_finds_the_store(real_registry: RealRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OpenSSL was built to look in directories that this system does not have, the usual places count."""
    nowhere = ssl.DefaultVerifyPaths(None, None, "SSL_CERT_FILE", "/opt/x.pem", "SSL_CERT_DIR", "/opt/x")  # type: ignore[arg-type]
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nowhere)
    monkeypatch.setattr(tls, "BUNDLES", ("/opt/x.pem", str(real_registry.ca)))
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    tls._of_system.cache_clear()
    try:
        with Registry(real_registry.address) as registry, pytest.raises(AccessDenied, match=LET_IN):
            registry.find(Repository(real_registry.address, "shop"), "1")
    finally:
        tls._of_system.cache_clear()


def reach(
    host: str, *, insecure: tuple[str, ...] = (), ca: Path | None = None, timeout: float = 3, **variables: str
) -> Registry:
    """A client of the registry `host`, with the environment's `variables`."""
    network = RegistryAccess(proxies_of(variables), frozenset(insecure), WARNED.append)
    login = Credentials(USERNAME, PASSWORD)
    return Registry(
        host, credentials=login, ca=str(ca) if ca else None, network=network, timeout=timeout, sleep=lambda _: None
    )


WARNED: list[str] = []


@pytest.fixture(autouse=True)
def _warned() -> None:
    WARNED.clear()


def refused(registry: Registry, kind: type[RelmanError] = RelmanError) -> RelmanError:
    """What comes of asking for something."""
    with registry, pytest.raises(kind) as caught:
        registry.find(Repository(registry.host, "shop"), "1")
    return caught.value


@contextmanager
def tinyproxy(directory: Path, *lines: str) -> Iterator[tuple[str, Path]]:
    """A real proxy with these lines of configuration: its address and its log."""
    port, log, config = free_port(), directory / "log", directory / "tinyproxy.conf"
    config.write_text(
        "\n".join([f"Port {port}", "Listen 127.0.0.1", "Timeout 60", f'LogFile "{log}"', "LogLevel Connect", *lines])
    )
    pidfile = directory / "pid"
    spawn(["tinyproxy", "-d", "-c", config], pidfile=pidfile, log=directory / "out")
    try:
        until(lambda: _listens(port), f"tinyproxy; see {log}", 10)
        yield f"127.0.0.1:{port}", log
    finally:
        end_file(pidfile)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_proxy_is_gone_through(real_registry: RealRegistry, tmp_path: Path) -> None:
    """An image goes to the real registry and comes back through a real proxy, with the registry's CA and both logins;
    a wrong one of the proxy's is its own error; and nothing of it is shown, not even to a debugger."""
    host = elsewhere(real_registry.address)
    repository = Repository(host, "team/through-a-proxy")
    with tinyproxy(tmp_path, "BasicAuth me s3cret-word") as (proxy, log):
        network = RegistryAccess(proxies_of({"HTTPS_PROXY": f"http://me:s3cret-word@{proxy}"}))
        login = Credentials(USER, real_registry.password)
        with Registry(host, credentials=login, ca=str(real_registry.ca), network=network) as registry:
            pushed = push_image(registry, repository)
            assert registry.resolve(repository, "run-shop-1") == pushed
        assert f"CONNECT {host}" in log.read_text()
        for url in (f"http://{proxy}", f"http://me:n0t-that-one@{proxy}"):
            error = refused(reach(host, ca=real_registry.ca, https_proxy=url), AccessDenied)
            assert f"the proxy {proxy} re" in error.what
            assert error.host == host
            told = f"{error} {error.hint} {error.details}" + "".join(traceback.format_exception(error))
            assert "n0t-that-one" not in told


def test_a_proxy_that_does_not_connect_is_told_apart(real_registry: RealRegistry, tmp_path: Path) -> None:
    """A proxy that forbids the port, or does not know the host, is named with how to go without it."""
    with tinyproxy(tmp_path, "ConnectPort 443") as (proxy, _):
        error = refused(reach(elsewhere(real_registry.address), https_proxy=proxy), AccessDenied)
        assert f"the proxy {proxy} refuses to connect (HTTP 403)" in error.what
        assert "NO_PROXY=127.1" in error.hint
        error = refused(reach("nowhere.invalid", https_proxy=proxy), Unreachable)
        assert f"the proxy {proxy} cannot connect (HTTP 5" in error.what


def answers(*pieces: bytes) -> Callable[[Peer], None]:
    """Hear a request, say this, and hang up."""

    def manners(peer: Peer) -> None:
        peer.hear()
        peer.say(*pieces)

    return manners


def drips(peer: Peer) -> None:
    """Never come to an end with the answer."""
    peer.hear()
    peer.drip(b"HTTP/1.1 200 OK\r\n" + b"X-Y: z\r\n" * 10000)


BAD_PROXIES = {
    "silent": (lambda peer: peer.wait(), "did not connect within"),
    "drips": (drips, "did not connect within"),
    "continues": (lambda peer: (peer.hear(), peer.flood(b"HTTP/1.1 100 Continue\r\n\r\n")), "did not connect within"),
    "no HTTP": (answers(b"SSH-2.0-OpenSSH_9.2\r\n"), "gave no HTTP answer"),
    "hangs up": (answers(), "does not answer"),
    "bad gateway": (answers(b"HTTP/1.1 502 Bad Gateway\r\n\r\n"), "cannot connect (HTTP 502)"),
    "redirects": (answers(b"HTTP/1.1 302 Login\r\nLocation: http://portal/\r\n\r\n"), "refuses to connect (HTTP 302)"),
}


@pytest.mark.parametrize(("manners", "said"), BAD_PROXIES.values(), ids=BAD_PROXIES)
def test_a_bad_proxy_is_named(manners: Callable[[Peer], None], said: str) -> None:
    """A proxy that says nothing, drips, speaks no HTTP, hangs up or has no way: in time, in words of its own."""
    with Hostile(manners).running() as proxy:
        error = refused(reach("registry.example", timeout=0.5, HTTPS_PROXY=f"http://u:h1dden@{proxy.host}"))
    assert f"the proxy {proxy.host} {said}" in error.what
    assert error.host == "registry.example"
    assert "HTTPS_PROXY" in error.hint
    assert "h1dden" not in f"{error} {error.hint}" + "".join(traceback.format_exception(error))


def test_a_proxy_that_is_down_is_named() -> None:
    """Nobody listens where the proxy should be, or its name is none: the proxy is away, not the registry."""
    proxy = f"127.0.0.1:{free_port()}"
    error = refused(reach("registry.example", https_proxy=proxy), Unreachable)
    assert f"the proxy {proxy} does not answer" in error.what
    assert "Connection refused" in error.hint
    error = refused(reach("registry.example", https_proxy="http://proxy.invalid:3128"), Unreachable)
    assert "the proxy proxy.invalid:3128 does not answer" in error.what


@pytest.mark.parametrize(
    "value", ["socks5://127.0.0.1:1080", "https://proxy:3129", "http://", "http://a:b:c", "http://[::"]
)
def test_what_is_no_http_proxy_is_refused_where_it_is_needed(value: str, simulator: Simulator) -> None:
    """The variable is named and its value, which may hold a password, is not; a registry that needs no proxy works."""
    error = refused(reach("registry.example", ALL_PROXY=value), UsageError)
    assert error.what.startswith("ALL_PROXY names ")
    with reach(simulator.host, ALL_PROXY=value) as registry:
        assert registry.find(Repository(simulator.host, "shop"), "1") is None


@pytest.mark.parametrize("login", ["basic", "token"])
def test_plain_http_is_spoken_where_it_is_allowed_by_name(login: str) -> None:
    """A registry without TLS: refused with the two ways to allow it, without a request; allowed by name, warned of
    once; on loopback as Docker does it. A token service counts as the registry does."""
    with Simulator(auth=login).running() as simulator:
        host = elsewhere(simulator.host)
        error = refused(reach(host), Unreachable)
        assert "the registry speaks plain HTTP, not TLS" in error.what
        assert f"relman_insecure_registries: [{host}]" in error.hint
        assert f"RELMAN_INSECURE_REGISTRIES={host}" in error.hint
        assert simulator.log == []
        assert WARNED == []
        names = (host, simulator.host) if login == "token" else (host,)
        with reach(host, insecure=names) as registry:
            pushed = push_image(registry, repository := Repository(host, "shop"))
            assert registry.resolve(repository, "run-shop-1") == pushed
        assert [f"plain HTTP to the registry {host}" in text for text in WARNED] == [True]
        with reach(simulator.host) as registry:
            assert registry.resolve(Repository(simulator.host, "shop"), "run-shop-1") == pushed
        assert len(WARNED) == 1
        if login == "token":
            error = refused(reach(host, insecure=(host,)), AccessDenied)
            assert "without TLS" in error.what
            assert simulator.host in error.hint


def test_a_real_registry_without_tls(plain_registry: RealRegistry, tmp_path: Path) -> None:
    """The real registry in plain HTTP, allowed by name, directly and through a real proxy."""
    host = elsewhere(plain_registry.address)
    assert "speaks plain HTTP" in refused(reach(host), Unreachable).what
    with tinyproxy(tmp_path) as (proxy, log):
        for variables in ({}, {"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy}):
            network = RegistryAccess(proxies_of(variables), frozenset({host}))
            with Registry(host, credentials=Credentials(USER, plain_registry.password), network=network) as registry:
                pushed = push_image(registry, repository := Repository(host, "shop"))
                assert registry.resolve(repository, "run-shop-1") == pushed
        assert f"GET http://{host}/v2/shop/manifests/run-shop-1" in log.read_text()
    (tmp_path / "with-a-login").mkdir()
    with tinyproxy(tmp_path / "with-a-login", "BasicAuth me s3cret-word") as (proxy, _):
        error = refused(reach(host, insecure=(host,), HTTP_PROXY=proxy), AccessDenied)
        assert f"the proxy {proxy} requires a login" in error.what


def test_what_is_allowed_without_tls_keeps_it_where_there_is_some(real_registry: RealRegistry) -> None:
    """`insecure` is never TLS without a check: a registry that speaks it must show a certificate that is trusted, and
    gets no plain request."""
    host = elsewhere(real_registry.address)
    assert NOT_TRUSTED in refused(reach(host, insecure=(host,)), Unreachable).what
    with Registry(host, ca=str(real_registry.ca), network=RegistryAccess(insecure=frozenset({host}))) as registry:
        assert registry.plain_fault() is None
        with pytest.raises(AccessDenied):
            registry.find(Repository(host, "shop"), "1")
    assert WARNED == []


def test_a_registry_without_a_port_may_be_on_port_80() -> None:
    """Where nobody listens on 443, a registry that is allowed by name is asked on port 80, as Docker does it."""
    simulator = Simulator(auth="", address=("127.77.0.1", 80))
    with simulator.running():
        with reach("127.77.1", insecure=("127.77.1",)) as registry:
            assert registry.find(Repository("127.77.1", "shop"), "1") is None
        assert "does not answer" in refused(reach("127.77.1"), Unreachable).what


@pytest.mark.parametrize("where", ["download", "upload"])
def test_a_plain_registry_does_not_lead_elsewhere(simulator: Simulator, where: str) -> None:
    """A registry that is allowed without TLS leads to no other one without it, and not to this machine's loopback."""
    host = elsewhere(simulator.host)
    repository = Repository(host, "shop")
    with Simulator(auth="").running() as storage, reach(host, insecure=(host,)) as registry:
        pushed = push_image(registry, repository)
        location = {"Location": f"http://{storage.host}/v2/shop/blobs/uploads/1"}
        if where == "download":
            simulator.misbehave("GET .*/manifests/", lambda _: Reply(307, headers=location))
        else:
            simulator.misbehave("POST", lambda _: Reply(202, headers=location))
        with pytest.raises(RegistryError, match=f"{storage.host}, an address without TLS"):
            registry.resolve(repository, pushed.digest) if where == "download" else registry.put_blob(
                repository, b"new"
            )
        assert storage.queries == []


def test_tls_leads_to_no_token_service_without(tmp_path: Path) -> None:
    """A registry with TLS that names a token service without it is refused by that address, which is not asked, even if
    it is allowed by name."""
    with Hostile(answers()).running() as service:
        realm = f'WWW-Authenticate: Bearer realm="http://{service.host}/token"\r\nContent-Length: 0\r\n\r\n'
        with Hostile(answers(b"HTTP/1.1 401 No\r\n", realm.encode()), tmp_path).running() as server:
            registry = reach(server.host, ca=tmp_path / "ca.crt", insecure=(service.host,))
            assert f"http://{service.host}/token" in refused(registry, AccessDenied).what
        assert service.heard == []
