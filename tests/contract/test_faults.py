"""A registry that is away, busy, slow, broken or dishonest: what the client makes of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest

from relman.model.errors import AccessDenied, RegistryError, UnknownTag, Unreachable, UsageError
from relman.model.image import Digest, Repository
from relman.registry.auth import Credentials
from relman.registry.client import Registry
from relman.registry.http.transport import MAX_WAIT, PAUSES
from relman.registry.images import describe
from tests.contract.content import Reply
from tests.contract.images import push_image
from tests.contract.registry_fixture import Place, free_port, place_of
from tests.contract.simulator import PASSWORD, REFRESH_TOKEN, USERNAME, Fault, Simulator, busy, changed, hang_up
from tests.lab.pki import make_ca
from tests.lab.registry import Registry as RealRegistry


@pytest.fixture
def place(simulated: Place) -> Place:
    """Here always the simulator."""
    return simulated


def lying(reply: Reply) -> None:
    """Give other bytes of the same length."""
    reply.body = reply.body[:-1] + b" "


def mislabelled(reply: Reply) -> None:
    """Name a digest that is not that of the bytes."""
    reply.headers["Docker-Content-Digest"] = str(Digest.of(b"something else"))


def cut(reply: Reply) -> None:
    """Break the connection in mid-body."""
    reply.sent = len(reply.body) // 2


@pytest.mark.parametrize("fault", [busy(429), busy(503), busy(500), hang_up, changed(cut)])
def test_passing_faults_pass(
    simulator: Simulator, place: Place, registry: Registry, repository: Repository, fault: Fault
) -> None:
    """A registry that is busy or breaks the connection, for reading or writing, is asked again with growing pauses."""
    manifest = push_image(registry, repository)
    simulator.misbehave("GET .*/manifests/", *[fault] * len(PAUSES))
    assert registry.resolve(repository, "run-shop-1") == manifest
    assert place.pauses == list(PAUSES)
    simulator.misbehave("PUT .*/blobs/", fault)
    digest = registry.put_blob(repository, b"another")
    assert registry.blob(repository, digest) == b"another"


@pytest.mark.parametrize(
    ("fault", "error"), [(busy(429), RegistryError), (busy(502), RegistryError), (hang_up, Unreachable)]
)
def test_patience_ends(
    simulator: Simulator, registry: Registry, repository: Repository, fault: Fault, error: type[Exception]
) -> None:
    """A fault that does not pass is an error after a bounded number of requests."""
    simulator.misbehave("GET", *[fault] * 50)
    with pytest.raises(error):
        registry.resolve(repository, "1")
    assert len(simulator.log) == len(PAUSES) + 1


def test_retry_after_is_honoured_up_to_a_bound(
    simulator: Simulator, place: Place, registry: Registry, repository: Repository
) -> None:
    """The pause that a busy registry asks for is made; one that is too long is an error at once, saying how long."""
    manifest = push_image(registry, repository)
    simulator.misbehave("GET", busy(429, "7"))
    assert registry.resolve(repository, "run-shop-1") == manifest
    assert place.pauses == [7.0]
    simulator.misbehave("GET", busy(429, str(int(MAX_WAIT) + 1)))
    with pytest.raises(RegistryError) as caught:
        registry.resolve(repository, "run-shop-1")
    assert str(int(MAX_WAIT) + 1) in caught.value.hint
    assert place.pauses == [7.0]


@pytest.mark.parametrize("lie", [lying, mislabelled])
def test_lies_about_manifests_are_found(
    simulator: Simulator, registry: Registry, repository: Repository, lie: Callable[[Reply], None]
) -> None:
    """Other bytes than the digest's, or another digest than the bytes', are an error by tag and by digest."""
    manifest = push_image(registry, repository)
    for reference in ("run-shop-1", manifest.digest):
        simulator.misbehave("GET .*/manifests/", changed(lie))
        with pytest.raises(RegistryError, match=r"says that|asked for"):
            registry.resolve(repository, reference)


def test_bytes_without_the_header_are_still_checked(
    simulator: Simulator, registry: Registry, repository: Repository
) -> None:
    """A registry that leaves out Docker-Content-Digest cannot give other bytes for a digest."""

    def quietly_lying(reply: Reply) -> None:
        reply.headers.pop("Docker-Content-Digest")
        lying(reply)

    manifest = push_image(registry, repository)
    simulator.misbehave("GET .*/manifests/", changed(quietly_lying))
    with pytest.raises(RegistryError, match="asked for"):
        registry.resolve(repository, manifest.digest)


def test_a_registry_that_converts_manifests_is_found(
    simulator: Simulator, registry: Registry, repository: Repository
) -> None:
    """A registry that stores other bytes than it was given says so by its digest: an error."""
    manifest = push_image(registry, repository)
    simulator.misbehave("PUT .*/manifests/118", changed(mislabelled))
    with pytest.raises(RegistryError, match="says that"):
        registry.put_manifest(repository, "118", manifest)


def test_lies_about_blobs_are_found(simulator: Simulator, registry: Registry, repository: Repository) -> None:
    """A blob with other bytes is an error, also as the configuration of an image."""
    push_image(registry, repository)
    simulator.misbehave("GET .*/blobs/", changed(lying))
    with pytest.raises(RegistryError, match="other bytes"):
        describe(registry, repository, "run-shop-1")


def test_all_pages_of_tags_are_read() -> None:
    """A list in pages is read to its end."""
    with Simulator(page=2).running() as simulator, place_of(simulator).connect() as registry:
        repository = Repository(simulator.host, "shop")
        for n in range(5):
            push_image(registry, repository, f"{n}")
        assert registry.tags(repository) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    "link", ['</v2/shop/tags/list?n=1000>; rel="next"', '<https://elsewhere.example/>; rel="next"']
)
def test_pages_that_lead_nowhere_are_an_error(simulator: Simulator, place: Place, link: str) -> None:
    """A next page that is the same page, or somebody else's, is an error and not followed."""
    repository = Repository(place.host, "shop")
    with place.connect() as registry:
        push_image(registry, repository)
        simulator.misbehave("GET .*/tags/", changed(lambda reply: reply.headers.update(Link=link)))
        with pytest.raises(RegistryError, match="does not continue on the registry"):
            registry.tags(repository)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"tags": 1}', b'{"tags": [1]}', b"[" * 100000])
def test_nonsense_for_tags_is_an_error(
    simulator: Simulator, registry: Registry, repository: Repository, body: bytes
) -> None:
    """A list of tags that is none is the registry's error."""
    push_image(registry, repository)
    simulator.misbehave("GET .*/tags/", lambda _: Reply(200, body))
    with pytest.raises(RegistryError, match="list of"):
        registry.tags(repository)


def test_an_absent_registry_is_unreachable(place: Place) -> None:
    """Nobody listening is Unreachable, named by the registry's address, with the system's reason."""
    host = f"127.0.0.1:{free_port()}"
    with replace(place, host=host).connect() as registry, pytest.raises(Unreachable, match=host) as caught:
        registry.resolve(Repository(host, "shop"), "1")
    assert "Connection refused" in caught.value.hint


def test_a_silent_registry_is_unreachable(simulator: Simulator) -> None:
    """A registry that takes the request and says nothing, or goes on saying a little, is given up in bounded time."""
    done = threading.Event()

    def silent(_: Callable[[], Reply]) -> None:
        done.wait(30)

    dripping = Reply(200, b"x" * 10000, drip=done)
    simulator.misbehave("GET", silent, lambda _: dripping)
    repository = Repository(simulator.host, "shop")
    with Registry(simulator.host, timeout=0.3) as registry:
        try:
            for _ in range(2):
                with pytest.raises(Unreachable, match=r"0\.3 s"):
                    registry.resolve(repository, "1")
        finally:
            done.set()


def test_forbidden_is_access_denied(simulator: Simulator, registry: Registry, repository: Repository) -> None:
    """A login that may read but not write is told which."""
    manifest = push_image(registry, repository)
    simulator.misbehave("PUT", lambda _: Reply(403))
    with pytest.raises(AccessDenied, match="writing"):
        registry.put_manifest(repository, "1", manifest)


def test_no_login_is_access_denied(simulator: Simulator, repository: Repository) -> None:
    """Without credentials the error says how to give them."""
    with Registry(simulator.host) as registry, pytest.raises(AccessDenied) as caught:
        registry.resolve(repository, "1")
    assert "docker login" in caught.value.hint


@pytest.fixture
def token_simulator() -> Iterator[Simulator]:
    """A registry with a token service."""
    with Simulator(auth="token").running() as simulator:
        yield simulator


@pytest.mark.parametrize("login", ["password", "identity token"])
def test_tokens_are_fetched_once_and_renewed(token_simulator: Simulator, login: str) -> None:
    """A token is asked for once for reading and once for writing; when it expires, again; a wrong login is refused."""
    place = place_of(token_simulator)
    repository = place.repository()
    credentials = None if login == "password" else Credentials(identity_token=REFRESH_TOKEN)
    with place.connect(credentials) as registry:
        manifest = push_image(registry, repository)
        assert registry.resolve(repository, manifest.digest) == manifest
        assert len([q for q in token_simulator.log if q.endswith("/token")]) == 2
        token_simulator.tokens.clear()
        assert registry.resolve(repository, manifest.digest) == manifest
    with place.connect(Credentials(USERNAME, "wrong")) as registry, pytest.raises(AccessDenied):
        registry.resolve(repository, "1")


@pytest.mark.parametrize("body", [b"", b"{}", b'{"token": "a\\nb"}', b'{"token": 1}'])
def test_nonsense_for_a_token_is_an_error(token_simulator: Simulator, body: bytes) -> None:
    """What is no token is never sent."""
    place = place_of(token_simulator)
    token_simulator.misbehave("/token", lambda _: Reply(200, body))
    with place.connect() as registry, pytest.raises(RegistryError, match="no token"):
        registry.resolve(place.repository(), "1")


def test_threads_share_a_client(token_simulator: Simulator) -> None:
    """Eight threads get what each asked for."""
    place = place_of(token_simulator)
    repository = place.repository()
    with place.connect() as registry, ThreadPoolExecutor(8) as pool:
        pushed = list(pool.map(lambda n: push_image(registry, repository, f"{n}", labels={"n": f"{n}"}), range(24)))
        assert list(pool.map(lambda n: registry.resolve(repository, f"{n}"), range(24))) == pushed


def test_credentials_go_to_the_registry_alone(simulator: Simulator, registry: Registry, repository: Repository) -> None:
    """Uploads and downloads that the registry sends elsewhere go there without the password."""
    with Simulator(auth="").running() as storage:
        there = f"http://{storage.host}/v2/{repository.name}/blobs/"
        simulator.misbehave("POST", lambda _: Reply(202, headers={"Location": there + "uploads/1"}))
        digest = registry.put_blob(repository, b"content")
        simulator.misbehave("GET .*/blobs/", lambda _: Reply(307, headers={"Location": f"{there}{digest}"}))
        assert registry.blob(repository, digest) == b"content"
        assert [q.method for q in storage.queries] == ["PUT", "GET"]
        assert not any("authorization" in q.headers for q in storage.queries)


def test_an_unknown_ca_is_explained(real_registry: RealRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate of an unknown CA is refused with the option that names the CA, whatever REQUESTS_CA_BUNDLE says."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(real_registry.ca))
    repository = Repository(real_registry.address, "shop")
    with Registry(real_registry.address) as registry, pytest.raises(Unreachable, match="certificate") as caught:
        registry.resolve(repository, "1")
    assert "RELMAN_REGISTRY_CA" in caught.value.hint


def test_a_certificate_of_another_host_is_refused(real_registry: RealRegistry) -> None:
    """A certificate of the right CA counts only for the hosts that it names."""
    host = real_registry.address.replace("127.0.0.1", "localhost")
    with Registry(host, ca=str(real_registry.ca)) as registry, pytest.raises(Unreachable, match="certificate"):
        registry.resolve(Repository(host, "shop"), "1")


def test_a_ca_of_its_own_is_the_only_one_trusted(real_registry: RealRegistry, tmp_path: Path) -> None:
    """Where a CA is named for a registry, it alone counts, and not what was trusted for another one."""
    make_ca(tmp_path, "127.0.0.1", "elsewhere.lab")
    repository = Repository(real_registry.address, "shop")
    with Registry(real_registry.address, ca=str(real_registry.ca)) as known, pytest.raises(AccessDenied):
        known.find(repository, "1")
    other = str(tmp_path / "ca.crt")
    with Registry(real_registry.address, ca=other) as registry, pytest.raises(Unreachable, match="certificate"):
        registry.find(repository, "1")


@pytest.mark.parametrize("content", ["", "no certificate", None])
def test_a_broken_ca_file_is_explained(tmp_path: Path, content: str | None) -> None:
    """A CA file that is empty, no certificate or gone is a mistake of whoever named it, and is named."""
    ca = tmp_path / "ca.crt"
    if content is not None:
        ca.write_text(content)
    with pytest.raises(UsageError, match=str(ca)):
        Registry("registry.example", ca=str(ca))


REFUSALS = {401: AccessDenied, 403: AccessDenied, 409: RegistryError, 413: RegistryError, 429: RegistryError}
REFUSALS |= {500: RegistryError, 507: RegistryError}


@pytest.mark.parametrize("status", REFUSALS)
def test_the_registry_s_own_reasons_are_shown(simulator: Simulator, registry: Registry, status: int) -> None:
    """Whatever is asked for and refused, the registry's reason is shown with the error, without the password."""
    repository = Repository(simulator.host, "team/shop")
    manifest = push_image(registry, repository)
    body = f'{{"errors": [{{"code": "QUOTA", "message": "no room for {PASSWORD}"}}]}}'.encode()
    challenge = {"WWW-Authenticate": 'Basic realm="x"'} if status == 401 else {}
    asked: list[Callable[[], object]] = [
        lambda: registry.resolve(repository, "1"),
        lambda: registry.tags(repository),
        lambda: registry.blob(repository, Digest.of(b"x")),
        lambda: registry.put_blob(repository, b"new", new=True),
        lambda: registry.put_manifest(repository, "1", manifest),
        lambda: list(registry.uploads.read(repository, Digest.of(b"x"))),
    ]
    for ask in asked:
        simulator.misbehave(".", *[lambda _: Reply(status, body, headers=challenge)] * 10)
        with pytest.raises(REFUSALS[status]) as caught:
            ask()
        assert caught.value.details == ("QUOTA: no room for ***",)
        simulator.behave()


def test_a_name_that_is_unknown_is_told_from_a_tag(simulator: Simulator, registry: Registry) -> None:
    """Of what is not there the registry says what: the tag, or the whole repository."""
    body = b'{"errors": [{"code": "NAME_UNKNOWN", "message": "repository name not known to registry"}]}'
    simulator.misbehave("GET .*/(manifests|tags)/", *[lambda _: Reply(404, body)] * 2)
    for ask in (registry.resolve, registry.tags):
        with pytest.raises(UnknownTag) as caught:
            ask(Repository(simulator.host, "team/shop"), "1")
        assert caught.value.details == ("NAME_UNKNOWN: repository name not known to registry",)


def test_a_token_service_s_own_reasons_are_shown(token_simulator: Simulator) -> None:
    """A wrong password at a token service, in the service's words."""
    place = place_of(token_simulator)
    token_simulator.misbehave("/token", lambda _: Reply(401, b'{"details": "incorrect username or password"}'))
    with place.connect() as registry, pytest.raises(AccessDenied) as caught:
        registry.resolve(place.repository(), "1")
    assert caught.value.details == ("incorrect username or password",)


def test_a_date_to_wait_for_is_waited_for(simulator: Simulator, place: Place, registry: Registry) -> None:
    """Retry-After may be a date, and is no number where it is neither."""
    repository = Repository(simulator.host, "team/shop")
    in_a_while = formatdate(time.time() + 20, usegmt=True)
    simulator.misbehave("GET", busy(429, in_a_while), busy(503, "soon"))
    assert registry.find(repository, "1") is None
    assert 17 <= place.pauses[0] <= 20
    assert place.pauses[1:] == [PAUSES[1]]
