"""Any JSON in place of any document that a registry gives: a right answer, or an error of relman's; nothing else."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relman.config.deploy import resolve
from relman.evidence import store
from relman.evidence.assessment import Criteria
from relman.evidence.copy import copy_with_evidence
from relman.evidence.dsse import BUNDLE, DSSE, IN_TOTO
from relman.evidence.envelopes import Envelope, Signed
from relman.evidence.keys import SigningKey
from relman.evidence.promote import promote
from relman.evidence.release import examine, release_of
from relman.model.container import DEPLOY_SECTION
from relman.model.errors import ConfigError, PolicyRefused, RegistryError, RelmanError
from relman.model.predicates import RELEASE, TEST_RESULT
from relman.model.trust import Grant, Trust, TrustedKey
from relman.registry.blobs import RepositoryClient as Copied
from relman.registry.client import Registry
from relman.registry.images import read_config
from relman.registry.manifest import OCI_INDEX, Manifest
from tests.contract.content import Reply, Store, digest_of
from tests.contract.evidence import find
from tests.contract.images import AMD64, push_image, push_index
from tests.contract.listed import list_releases
from tests.contract.registry_fixture import place_of
from tests.contract.simulator import Simulator
from tests.unit.reports import report
from tests.unit.test_registry_manifest import IMAGE, json_values
from tests.unit.values import REPOSITORY

KEY = SigningKey.generate("ed25519")
TRUST = Trust({"ci": TrustedKey("ci", KEY.public.pem, (Grant((TEST_RESULT, RELEASE), ("*",)),))})
CHECKS = [Criteria(), Criteria(Signed(TRUST, KEY))]
ODD = ["null", "true", "-1", "0", str(1 << 70), "1.5", '""', json.dumps("x" * 300), '"\\u001b[31m"', '"sha256:"']
ODD += ["[]", "{}", "[[]]", "[null]", '{"": null}']
"""As text, so that each draw is a value of its own."""


def paths(document: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to each value in a document, itself first."""
    found = [at]
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in items:
        found += paths(value, (*at, key))
    return found


@st.composite
def changed(draw: st.DrawFn, original: bytes) -> bytes:
    """The document with one or two of its values replaced, or left out; now and then anything else."""
    document = json.loads(original)
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(paths(document)))
        value = draw(st.sampled_from(ODD).map(json.loads) | json_values)
        if not path:
            document = value if draw(st.booleans()) else document
            continue
        parent = document
        for key in path[:-1]:
            parent = parent[key]
        if isinstance(parent, dict) and draw(st.booleans()):
            del parent[path[-1]]
        else:
            parent[path[-1]] = value
        if not isinstance(document, dict | list):
            break
    return json.dumps(document).encode()


@dataclass
class Scene:
    """A release with all its documents, in a registry whose owner may put others in their place."""

    simulator: Simulator
    registry: Registry
    image: Manifest
    name: str
    good: Store

    def __post_init__(self) -> None:
        self.repository = replace(place_of(self.simulator).repository(), name=self.name)

    @property
    def store(self) -> Store:
        """What the registry holds."""
        return self.simulator.stores[self.name]

    def manifest(self, tag: str, content: bytes) -> None:
        """Other bytes under a tag, with the media type of what was there."""
        kind, _ = self.store.manifests[self.store.tags[tag]]
        self.store.manifests[digest_of(content)] = (kind, content)
        self.store.tags[tag] = digest_of(content)

    def reads(self, tag: str = "118", *, check: Criteria) -> None:
        """Everything that relman does with a release, each for itself; only its own errors come of it."""
        where, image = self.repository, self.image
        elsewhere = Copied(self.registry, replace(where, name=f"{self.name}-elsewhere"))
        acts: list[Callable[[], object]] = [
            lambda: examine(self.registry, where, tag, check=check),
            lambda: list_releases(self.registry, where, check=check),
            lambda: copy_with_evidence(Copied(self.registry, where), elsewhere, self.registry.resolve(where, tag)),
            lambda: promote(self.registry, where, source=tag, report=report(image), release_tag="119", check=check),
        ]
        for act in acts:
            with suppress(RelmanError):
                act()
        # A statement beside another image is not the release's business, and there is nothing to wait for.
        self.simulator.stores[self.name] = copy.deepcopy(self.good)
        self.simulator.stores.pop(f"{self.name}-elsewhere", None)
        self.simulator.behave()


@pytest.fixture(scope="module", params=CHECKS, ids=["unsigned", "signed"])
def scene(request: pytest.FixtureRequest) -> Any:
    """A release of an image alone, and one of an index."""
    with Simulator(auth="token").running() as simulator, place_of(simulator).connect(writes=True) as registry:
        repository = place_of(simulator).repository()
        image = push_image(registry, repository, labels={DEPLOY_SECTION: '{"ports": ["8080"]}'})
        push_index(registry, repository, "run-shop-2", {AMD64: image})
        for source, tag in (("run-shop-1", "118"), ("run-shop-2", "120")):
            promote(registry, repository, source=source, report=report(image), release_tag=tag, check=request.param)
        good = copy.deepcopy(simulator.stores[repository.name])
        yield Scene(simulator, registry, image, repository.name, good), request.param


thorough = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def bytes_of(scene: Scene, tag: str) -> bytes:
    """What is under a tag."""
    return scene.good.manifests[scene.good.tags[tag]][1]


def own_tag(scene: Scene) -> str:
    """The tag of one statement about the image."""
    return next(
        t
        for t in sorted(scene.good.tags)
        if t.startswith(store.index_tag(scene.image.digest) + ".") and ".att" not in t
    )


MANIFESTS: dict[str, Callable[[Scene], str]] = {
    "the image": lambda _: "118",
    "the index": lambda _: "120",
    "a statement's manifest": own_tag,
    "the referrers": lambda scene: store.index_tag(scene.image.digest),
    "cosign's view": lambda scene: store.attestation_tag(scene.image.digest),
}


@pytest.mark.parametrize("tag_of", MANIFESTS.values(), ids=MANIFESTS)
@thorough
@given(data=st.data())
def test_any_manifest(scene: tuple[Scene, Criteria], tag_of: Callable[[Scene], str], data: st.DataObject) -> None:
    """Any JSON in place of each kind of manifest."""
    it, check = scene
    tag = tag_of(it)
    if tag not in it.good.tags:
        return  # what is not signed has no view for cosign
    it.manifest(tag, data.draw(changed(bytes_of(it, tag))))
    it.reads(tag if tag in ("118", "120") else "118", check=check)


@thorough
@given(data=st.data())
def test_any_configuration(scene: tuple[Scene, Criteria], data: st.DataObject) -> None:
    """Any JSON in place of the image's configuration: what is wrong with it is said with the image's name."""
    it, check = scene
    content = data.draw(changed(it.good.blobs[str(it.image.config)]))
    it.store.blobs[digest_of(content)] = content
    manifest = json.loads(it.image.content)
    manifest["config"] |= {"digest": digest_of(content), "size": len(content)}
    it.manifest("118", json.dumps(manifest).encode())
    said = f"{it.name}:118"
    try:
        examine(it.registry, it.repository, "118", check=check)
    except (RegistryError, PolicyRefused) as error:
        said = "\n".join([error.what, *error.details])
    assert f"{it.name}:118" in said
    it.reads(check=check)


KINDS = {"bundle": BUNDLE, "DSSE": DSSE, "statement": IN_TOTO, "signed statement": BUNDLE}


@pytest.mark.parametrize("kind", KINDS)
@thorough
@given(data=st.data())
def test_any_statement(scene: tuple[Scene, Criteria], kind: str, data: st.DataObject) -> None:
    """Any JSON in place of an envelope, or of what was signed in it by a trusted key, or plainly."""
    it, check = scene
    opened = find(it.registry, it.repository, it.image.digest)
    payload = data.draw(st.sampled_from(sorted({o.payload for o in opened})))
    if "statement" in kind:
        payload = data.draw(changed(payload))
        envelope = Signed(key=KEY).wrap(payload) if kind == "signed statement" else Envelope(IN_TOTO, payload)
    else:
        signed = Signed(key=KEY).wrap(payload)
        content = (
            signed.content if kind == "bundle" else json.dumps(json.loads(signed.content)["dsseEnvelope"]).encode()
        )
        envelope = Envelope(KINDS[kind], data.draw(changed(content)))
    it.store.blobs[digest_of(envelope.content)] = envelope.content
    made = store.evidence_manifest(it.image, envelope, {})
    it.store.manifests[str(made.digest)] = (made.media_type, made.content)
    it.store.tags[store.own_tag(it.image.digest, envelope)] = str(made.digest)
    it.reads(check=check)


ANSWERS = {
    "tags": ("GET .*/tags/", b'{"tags": ["118", "119"]}'),
    "referrers": (
        "GET .*/referrers/",
        b'{"mediaType": "%s", "manifests": [{"digest": "x", "size": 1}]}' % OCI_INDEX.encode(),
    ),
    "token": ("/token", b'{"token": "x", "access_token": "y", "expires_in": 60}'),
    "error": ("PUT .*/manifests/", b'{"errors": [{"code": "DENIED", "message": "no", "detail": {}}]}'),
    "blob error": ("GET .*/blobs/", b'{"errors": [{"code": "DENIED", "message": "no", "detail": {}}]}'),
}


@pytest.mark.parametrize(("pattern", "body"), ANSWERS.values(), ids=ANSWERS)
@thorough
@given(data=st.data())
def test_any_other_answer(scene: tuple[Scene, Criteria], pattern: str, body: bytes, data: st.DataObject) -> None:
    """Any JSON as the list of tags, the list of referrers, the token and the reasons of an error."""
    it, check = scene
    content = data.draw(changed(body))
    status = data.draw(st.sampled_from([400, 404])) if "errors" in body.decode() else 200
    it.simulator.tokens.clear()
    it.simulator.misbehave(pattern, *[lambda _: Reply(status, content, {"Content-Type": OCI_INDEX})] * 8)
    it.reads(check=check)


HEADERS = [
    "WWW-Authenticate",
    "Location",
    "Link",
    "Docker-Content-Digest",
    "Content-Type",
    "Retry-After",
    "OCI-Subject",
    "Content-Range",
]
TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=30)
TEXTS |= st.sampled_from(
    ['Bearer realm="http://[",service="x"', "Basic", "Bearer", '<x>; rel="next"', "http://[::1", "9" * 500, "1e9"]
)


@thorough
@given(
    header=st.sampled_from(HEADERS),
    text=TEXTS,
    status=st.sampled_from([200, 202, 206, 301, 307, 401, 403, 404, 416, 429]),
    request=st.sampled_from(["GET", "HEAD", "PUT", "POST"]),
)
def test_any_header(scene: tuple[Scene, Criteria], header: str, text: str, status: int, request: str) -> None:
    """Any text as each header that relman reads, with any status."""
    it, check = scene
    it.simulator.misbehave(f"^{request} ", *[lambda _: Reply(status, b"{}", {header: text})] * 4)
    it.reads(check=check)


SECTION = json.dumps(
    {
        "ports": ["8080:80"],
        "env": {"A": "b"},
        "volumes": ["a:/b"],
        "health": {"http": {"port": 80, "path": "/"}, "timeout": "5s"},
        "strategy": {"type": "rolling", "batch": 1},
        "command": ["x"],
        "files": {"a.conf": "/etc/a.conf"},
    }
).encode()


@settings(max_examples=200, deadline=None)
@given(changed(SECTION))
def test_any_deploy_section(content: bytes) -> None:
    """Any JSON as the frozen deploy section means settings, or is an error that names the image's label."""
    said = ["the label of shop:118"]
    with suppress(PolicyRefused):
        section = thawed(content)
        try:
            resolve(section, {}, {}, origin="the label of shop:118", files={"a.conf": b"x"})
        except ConfigError as error:
            said = [problem.file for problem in error.problems]
    assert {*said} == {"the label of shop:118"}


def thawed(content: bytes) -> dict[str, Any]:
    """The deploy section that a label has, as a release has it."""
    made = read_config(IMAGE, IMAGE, json.dumps({"config": {"Labels": {DEPLOY_SECTION: content.decode()}}}).encode())
    return dict(release_of(REPOSITORY, "118", made).deploy)
